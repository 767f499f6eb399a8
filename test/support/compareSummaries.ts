import { expect } from 'vitest';
import type { BruteForce } from './bruteForce.ts';
import type { Answer } from './service.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;

/** Asks one instance, with a key. */
export type Ask = (path: string, key: string) => Promise<Answer>;

interface UsageView {
  granularity: string;
  timezone: string;
  /** Start of the bucket that holds a moment, in ms. */
  bucketOf(ms: number): number;
}

const floor = (ms: number, length: number) => Math.floor(ms / length) * length;
const view = (granularity: string, bucketOf: UsageView['bucketOf'], timezone = 'UTC'): UsageView => ({
  granularity,
  timezone,
  bucketOf,
});

export const USAGE_VIEWS: UsageView[] = [
  view('30s', (ms) => floor(ms, 30_000)),
  view('1m', (ms) => floor(ms, 60_000)),
  view('5m', (ms) => floor(ms, 300_000)),
  view('15m', (ms) => floor(ms, 900_000)),
  view('1h', (ms) => floor(ms, HOUR)),
  view('1h', (ms) => floor(ms + HOUR / 2, HOUR) - HOUR / 2, 'Asia/Kolkata'),
  view('1d', (ms) => floor(ms, DAY)),
  view('1d', (ms) => floor(ms + 9 * HOUR, DAY) - 9 * HOUR, 'Asia/Tokyo'),
  view('1d', (ms) => floor(ms + 5.5 * HOUR, DAY) - 5.5 * HOUR, 'Asia/Kolkata'),
  view('1mo', (ms) => Date.UTC(new Date(ms).getUTCFullYear(), new Date(ms).getUTCMonth())),
];

/** All pages of a list. */
// biome-ignore lint/suspicious/noExplicitAny: the bodies are compared whole
export async function allPages(ask: Ask, path: string, key: string): Promise<any[]> {
  // biome-ignore lint/suspicious/noExplicitAny: the bodies are compared whole
  const data: any[] = [];
  let cursor: string | null = null;
  do {
    const { status, body } = await ask(`${path}${cursor ? `&cursor=${cursor}` : ''}`, key);
    expect(status, JSON.stringify(body)).toBe(200);
    data.push(...body.data);
    cursor = body.nextCursor;
  } while (cursor);
  return data;
}

/**
 * Holds every summary of a tenant over [from, to) (ms) against the brute force.
 *
 * @param views the series to look at, of USAGE_VIEWS.
 * @param percentiles whether some may come from the rollups of an earlier version.
 * @param asOf the moment that the model is of; left out: now. Activity is not told as of a moment.
 * @returns the windows that were served, with state and revision.
 */
export async function expectExact(
  ask: Ask,
  tenant: { id: string; key: string },
  model: BruteForce,
  from: number,
  to: number,
  views: UsageView[] = USAGE_VIEWS,
  percentiles: 'fine' | 'coarse too' = 'fine',
  asOf?: string,
) {
  const range = `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}${asOf ? `&asOf=${asOf}` : ''}`;
  const windows = await allPages(ask, `/v1/windows?${range}&limit=1000`, tenant.key);
  const start = Math.ceil(from / 30_000) * 30_000;
  const end = Math.ceil(to / 30_000) * 30_000;
  expect(windows.map(({ state, revision, ...window }) => window)).toEqual(
    model.windows(tenant.id, start, end),
  );
  const activity = [
    ['hourly', HOUR],
    ['daily', DAY],
  ] as const;
  for (const [path, length] of asOf ? [] : activity) {
    const found = await allPages(ask, `/v1/summaries/${path}?${range}`, tenant.key);
    expect(found, path).toEqual(model.activity(length, from, to));
  }
  for (const { granularity, timezone, bucketOf } of views) {
    const query = `${range}&granularity=${granularity}&timezone=${timezone}&groupBy=customer,model&limit=10000`;
    const points = await allPages(ask, `/v1/usage?${query}`, tenant.key);
    const flat = points.map(({ bucketEnd, latency, ...point }) => ({
      ...point,
      latencyCount: latency.count,
      maxMs: latency.maxMs,
    }));
    expect(flat, `${granularity} ${timezone}`).toEqual(model.usage(bucketOf, from, to));
    const latencies = model.latencies(bucketOf, from, to);
    const faults = points.flatMap(({ bucket, latency }, i) => {
      if (percentiles === 'coarse too' && latency.precision === 'coarse') return [];
      return percentileFaults(latency, latencies[i]!).map((fault) => `${bucket}: ${fault}`);
    });
    expect(faults, `${granularity} ${timezone}`).toEqual([]);
  }
  return windows;
}

/**
 * Holds what a point says of its latencies against all of them: the percentiles by nearest rank within 2 %, none
 * outside of the smallest and the largest, and of a single one exact.
 *
 * @param sorted from the smallest to the largest, in ms.
 */
// biome-ignore lint/suspicious/noExplicitAny: as served
export function expectPercentiles(latency: any, sorted: number[], name = ''): void {
  expect(percentileFaults(latency, sorted), name).toEqual([]);
}

// biome-ignore lint/suspicious/noExplicitAny: as served
function percentileFaults(latency: any, sorted: number[]): string[] {
  const least = sorted[0] ?? null;
  const most = sorted.at(-1) ?? null;
  const known = { count: sorted.length, minMs: least, maxMs: most, precision: 'fine' };
  const faults = Object.entries(known)
    .filter(([field, value]) => latency[field] !== value)
    .map(([field, value]) => `${field} is ${latency[field]}, not ${value}`);
  for (const percent of [50, 95, 99]) {
    const found = latency[`p${percent}Ms`];
    const exact = sorted[Math.ceil((percent * sorted.length) / 100) - 1] ?? null;
    const right =
      exact === null
        ? found === null
        : Math.abs(found - exact) <= (sorted.length === 1 ? 0 : 0.02 * exact) &&
          found >= least! &&
          found <= most!;
    if (!right) faults.push(`p${percent} is ${found}, not ${exact}`);
  }
  return faults;
}
