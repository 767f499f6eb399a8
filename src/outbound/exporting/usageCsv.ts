import {
  type ExactUsagePoint,
  GROUP_FIELD,
  type Grouping,
  type UsagePoint,
} from '../../sums/rollups/usageSeries.ts';
import { csvLine } from './csvLine.ts';

const SUMS = ['calls', 'tokens', 'inputTokens', 'outputTokens', 'value'] as const;
/** In the order in which they came to be: what reads columns by their number goes on. */
const LATENCIES = ['avgMs', 'maxMs', 'p50Ms', 'p95Ms', 'p99Ms', 'minMs', 'precision'] as const;

/** The series as CSV with a header line. */
export function usageCsv(points: UsagePoint[], groupBy: Grouping[]): string {
  return usageHeader(groupBy) + points.map((point) => usageCsvLine(point, groupBy)).join('');
}

export function usageHeader(groupBy: Grouping[]): string {
  return csvLine([
    'bucket',
    'bucketEnd',
    ...groupBy.map((group) => GROUP_FIELD[group]),
    ...SUMS,
    'latencyCount',
    ...LATENCIES.map((name) => `latency${name[0]!.toUpperCase()}${name.slice(1)}`),
  ]);
}

export function usageCsvLine(point: UsagePoint | ExactUsagePoint, groupBy: Grouping[]): string {
  return csvLine([
    point.bucket,
    point.bucketEnd,
    ...groupBy.map((group) => point[GROUP_FIELD[group]]),
    ...SUMS.map((field) => point[field]),
    point.latency.count,
    ...LATENCIES.map((name) => point.latency[name]),
  ]);
}
