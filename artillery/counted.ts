import { addEvent, type ByWindow, type CountedEvent, type Sums } from './sums.ts';

const WINDOW_MS = 30_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Who reads a list to its end, page by page. */
export interface Lists {
  list<Row>(path: string): Promise<Row[]>;
}

/** What one path of the API counts of one customer. */
export interface Counted {
  source: string;
  bucketMs: number;
  /** The sums that this path has; others are not compared. */
  fields: (keyof Sums)[];
  /** By the start of each bucket, ms. */
  buckets: Map<number, Partial<Sums>>;
}

export interface CountedWindow {
  state: 'open' | 'closed' | 'revised';
  revision: number;
}

interface WindowItem extends CountedWindow {
  windowStart: string;
  aggregations: { totalCalls: number; totalInputTokens: number; totalOutputTokens: number };
}
interface UsageItem {
  bucket: string;
  calls: number;
  inputTokens: number;
  outputTokens: number;
}
interface SummaryItem {
  bucket: string;
  totalEvents: number;
  totalClicks: number;
  totalImpressions: number;
}
export type LiveItem = { windowStart: string } & WindowItem['aggregations'];

const TOKENS: (keyof Sums)[] = ['calls', 'inputTokens', 'outputTokens'];

export function countedWindows(items: WindowItem[]): Counted {
  const buckets = byStart(items, ({ windowStart, aggregations }) => [windowStart, tokensOf(aggregations)]);
  return { source: 'windows', bucketMs: WINDOW_MS, fields: TOKENS, buckets };
}

export function countedUsage(items: UsageItem[], granularity: '30s' | '1h' | '1d'): Counted {
  const buckets = byStart(items, ({ bucket, calls, inputTokens, outputTokens }) => [
    bucket,
    { calls, inputTokens, outputTokens },
  ]);
  const bucketMs = { '30s': WINDOW_MS, '1h': HOUR_MS, '1d': DAY_MS }[granularity];
  return { source: `usage ${granularity}`, bucketMs, fields: TOKENS, buckets };
}

export function countedSummaries(items: SummaryItem[], every: 'hourly' | 'daily'): Counted {
  const buckets = byStart(items, ({ bucket, totalEvents, totalClicks, totalImpressions }) => [
    bucket,
    { calls: totalEvents, clicks: totalClicks, impressions: totalImpressions },
  ]);
  const bucketMs = every === 'hourly' ? HOUR_MS : DAY_MS;
  return { source: `${every} summaries`, bucketMs, fields: ['calls', 'clicks', 'impressions'], buckets };
}

export function countedEvents(events: CountedEvent[]): Counted {
  const buckets: ByWindow = new Map();
  for (const event of events) addEvent(buckets, event);
  const fields: (keyof Sums)[] = [...TOKENS, 'clicks', 'impressions', 'ids'];
  return { source: 'events', bucketMs: WINDOW_MS, fields, buckets };
}

/** The windows of a live answer that have begun since a moment (ms): it has no older ones. */
export function countedLive(windows: LiveItem[]): Counted {
  const buckets = byStart(windows, (window) => [window.windowStart, tokensOf(window)]);
  return { source: 'live', bucketMs: WINDOW_MS, fields: TOKENS, buckets };
}

/** All that the API says of one customer. */
export interface CustomerCounts {
  counts: Counted[];
  windows: Map<number, CountedWindow>;
}

/**
 * Reads one customer on every path, page by page.
 *
 * @param from ms since the epoch; `to` likewise. Taken to whole days, so that no bucket is cut.
 * @throws {Error} for any answer but 200.
 */
export async function readCustomer(
  client: Lists,
  customer: string,
  from: number,
  to: number,
): Promise<CustomerCounts> {
  const range =
    `customerId=${encodeURIComponent(customer)}` +
    `&from=${new Date(Math.floor(from / DAY_MS) * DAY_MS).toISOString()}` +
    `&to=${new Date(Math.ceil(to / DAY_MS) * DAY_MS).toISOString()}`;
  const windows = await client.list<WindowItem>(`/v1/windows?${range}&limit=1000`);
  const counts = [countedWindows(windows)];
  for (const granularity of ['30s', '1h', '1d'] as const) {
    const items = await client.list<UsageItem>(`/v1/usage?${range}&granularity=${granularity}&limit=10000`);
    counts.push(countedUsage(items, granularity));
  }
  for (const every of ['hourly', 'daily'] as const) {
    const items = await client.list<SummaryItem>(`/v1/summaries/${every}?${range}&limit=1000`);
    counts.push(countedSummaries(items, every));
  }
  counts.push(countedEvents(await client.list<CountedEvent>(`/v1/events?${range}&limit=1000`)));
  return {
    counts,
    windows: new Map(
      windows.map(({ windowStart, state, revision }) => [Date.parse(windowStart), { state, revision }]),
    ),
  };
}

function tokensOf({ totalCalls, totalInputTokens, totalOutputTokens }: WindowItem['aggregations']) {
  return { calls: totalCalls, inputTokens: totalInputTokens, outputTokens: totalOutputTokens };
}

/** Rows of the same bucket are added up: a path that gives two where one is due must not hide it. */
function byStart<Item>(
  items: Item[],
  read: (item: Item) => [start: string, sums: Partial<Sums>],
): Map<number, Partial<Sums>> {
  const buckets = new Map<number, Partial<Sums>>();
  for (const item of items) {
    const [start, sums] = read(item);
    const known = buckets.get(Date.parse(start)) ?? {};
    for (const [name, value] of Object.entries(sums) as [keyof Sums, number][]) {
      known[name] = (known[name] ?? 0) + value;
    }
    buckets.set(Date.parse(start), known);
  }
  return buckets;
}
