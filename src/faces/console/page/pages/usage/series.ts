import { sumOf } from '../../format/sumOf.ts';
import type { Series } from '../../parts/LineChart.tsx';
import { COUNTED, type Sums } from '../windows/window.ts';

/** A point of /v1/usage, or of /v1/costs in one currency. */
export interface Point {
  bucket: string;
  bucketEnd: string;
  calls: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  value: string;
  latency: Record<'avgMs' | 'p50Ms' | 'p95Ms' | 'p99Ms', number | null>;
  unknownCalls: number;
  currency?: string;
  amount: string;
  unpricedCalls: number;
  [group: string]: unknown;
}

interface CostPoint extends Omit<Point, 'tokens'> {
  costs: { currency: string; amount: string; calls: number }[];
  unpriced: { calls: number };
}

/** A point for each currency, or one without any where nothing has a price. */
export const inCurrencies = (points: CostPoint[]): Point[] =>
  points.flatMap(({ costs, unpriced, ...point }) => {
    const priced = costs.map(({ currency, amount }) => ({
      ...point,
      currency,
      amount,
      unpricedCalls: unpriced.calls,
    }));
    const none = { ...point, amount: '0', unpricedCalls: unpriced.calls };
    return (priced.length > 0 ? priced : [none]) as unknown as Point[];
  });

export interface Measure {
  text: string;
  /** What is drawn. */
  of(point: Point): number | null;
  /** Whether it adds up; what does is 0 where there is nothing. */
  adds: boolean;
}

export const MEASURES: Record<string, Measure> = {
  calls: { text: 'Calls', of: (point) => point.calls, adds: true },
  tokens: { text: 'Tokens', of: (point) => point.tokens, adds: true },
  inputTokens: { text: 'Input tokens', of: (point) => point.inputTokens, adds: true },
  outputTokens: { text: 'Output tokens', of: (point) => point.outputTokens, adds: true },
  value: { text: 'Value', of: (point) => Number(point.value), adds: true },
  latency: { text: 'Latency', of: (point) => point.latency.p95Ms, adds: false },
  cost: { text: 'Cost', of: (point) => Number(point.amount), adds: true },
};

const PERCENTILES = { p50: 'p50Ms', p95: 'p95Ms', p99: 'p99Ms' } as const;
/** So many groups are drawn each for itself. */
const DRAWN = 7;

export interface Group {
  name: string;
  points: Point[];
  /** What it is ordered by. */
  size: number;
}

/** Points by group, the greatest first. */
export function groupsOf(points: Point[], fields: string[], measure: Measure): Group[] {
  const groups = new Map<string, Group>();
  for (const point of points) {
    const names = fields.map((field) => point[field] ?? '(none)');
    if (point.currency !== undefined) names.push(point.currency);
    const name = names.join(' · ') || measure.text;
    const group = groups.get(name) ?? { name, points: [], size: 0 };
    group.points.push(point);
    group.size += measure.adds ? (measure.of(point) ?? 0) : point.calls;
    groups.set(name, group);
  }
  return [...groups.values()].sort((a, b) => b.size - a.size);
}

/** What is drawn: a line a group, the smaller ones together where they add up; alone, latency is three percentiles. */
export function seriesOf(groups: Group[], buckets: number[], measure: Measure, grouped: boolean): Series[] {
  const line = (label: string, points: Point[], of = measure.of): Series => {
    const values: (number | null)[] = buckets.map(() => (measure.adds ? 0 : null));
    for (const point of points) {
      const i = indexOf(buckets, Date.parse(point.bucket));
      values[i] = measure.adds ? values[i]! + (of(point) ?? 0) : of(point);
    }
    return { label, values };
  };
  if (!measure.adds && !grouped) {
    const points = groups.flatMap((group) => group.points);
    return Object.entries(PERCENTILES).map(([label, field]) =>
      line(label, points, ({ latency }) => latency[field]),
    );
  }
  const drawn = groups.slice(0, groups.length === DRAWN + 1 ? DRAWN + 1 : DRAWN);
  const others = groups.slice(drawn.length);
  return [
    ...drawn.map(({ name, points }) => line(name, points)),
    ...(others.length > 0 && measure.adds
      ? [
          line(
            `${others.length} others`,
            others.flatMap(({ points }) => points),
          ),
        ]
      : []),
  ];
}

/** The last bucket that begins at or before an instant: one that the database cuts otherwise is in the one around it. */
function indexOf(buckets: number[], at: number): number {
  let i = buckets.length - 1;
  while (i > 0 && buckets[i]! > at) i--;
  return i;
}

export type Totals = Sums;

/** A count of points together. */
export const countOf = (points: Point[], name: (typeof COUNTED)[number]): number =>
  points.reduce((total, point) => total + point[name], 0);

/** What points of usage have together. */
export function totalsOf(points: Point[]): Totals {
  const counts = Object.fromEntries(COUNTED.map((name) => [name, countOf(points, name)]));
  return { ...counts, value: sumOf(points.map(({ value }) => value)) } as Totals;
}
