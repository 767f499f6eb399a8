import { averageMs, LATENCY_COLUMNS, latencyInHistogram } from './latencyHistogram.ts';
import { latencyAt, readSketch } from './latencySketch.ts';

/** How much a percentile of an answer says. */
export const PRECISIONS = ['fine', 'coarse'] as const;

/** Milliseconds, over the events that carried a latency. */
export interface LatencySummary {
  count: number;
  avgMs: number | null;
  maxMs: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  /** Null where precision is coarse: it is not known then. */
  minMs: number | null;
  /**
   * fine: percentiles are within 2 % of the exact ones. coarse: estimates inside the classes of a histogram, since some
   * of the summaries were made by a version that kept no more.
   */
  precision: (typeof PRECISIONS)[number];
}

/** The measures of a usage rollup that it is made of, and how each adds up. */
export const LATENCY_SUMS = [
  'sum(latency_count) as latency_count',
  'sum(latency_sum) as latency_sum',
  'min(latency_min) as latency_min',
  'max(latency_max) as latency_max',
  'numeric_send(sum(latency_sketch)) as latency_sketch',
  ...LATENCY_COLUMNS.map((column) => `sum(${column}) as ${column}`),
];
export const LATENCY_MEASURES = [
  ...['latency_count', 'latency_sum', 'latency_min', 'latency_max', 'latency_sketch'],
  ...LATENCY_COLUMNS,
];

/** A row of LATENCY_SUMS. */
export interface LatencyRow {
  latency_count: string;
  latency_sum: number;
  latency_min: number | null;
  latency_max: number | null;
  latency_sketch: Buffer | null;
  [column: string]: unknown;
}

/**
 * Percentiles by nearest rank: of n latencies the p-th percentile is the smallest that at least p % of the n are at
 * or below. The first and the last rank are exact, hence all of a single latency; no other lies outside of them.
 *
 * What was rolled up before there were sketches is in none, so a sketch that counts other than latency_count is not
 * of all the latencies; nor is the minimum then.
 */
export function latencySummary(row: LatencyRow): LatencySummary {
  const count = Number(row.latency_count);
  const maxMs = row.latency_max;
  if (count === 0 || maxMs === null) {
    const none = { avgMs: null, maxMs: null, p50Ms: null, p95Ms: null, p99Ms: null, minMs: null };
    return { count, ...none, precision: 'fine' };
  }
  const sketch = readSketch(row.latency_sketch);
  const minMs = count === 1 ? maxMs : sketch.count === count ? row.latency_min! : null;
  const cumulative = minMs === null ? LATENCY_COLUMNS.map((column) => Number(row[column])) : [];
  const percentile = (percent: number) => {
    const rank = Math.max(1, Math.ceil((percent * count) / 100));
    if (rank === count) return maxMs;
    if (minMs === null) return latencyInHistogram(rank, cumulative, { count, sumMs: row.latency_sum, maxMs });
    return rank === 1 ? minMs : Math.min(Math.max(latencyAt(sketch, rank), minMs), maxMs);
  };
  return {
    count,
    avgMs: averageMs(row.latency_sum, count),
    maxMs,
    p50Ms: percentile(50),
    p95Ms: percentile(95),
    p99Ms: percentile(99),
    minMs,
    precision: minMs === null ? 'coarse' : 'fine',
  };
}
