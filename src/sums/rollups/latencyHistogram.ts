/** Upper bounds (ms) of the cumulative histogram: the columns latency_le_5 … latency_le_120000 of the rollups. */
export const LATENCY_BOUNDS_MS = [
  5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000,
] as const;

export const LATENCY_COLUMNS = LATENCY_BOUNDS_MS.map((bound) => `latency_le_${bound}`);

/** What is known of latencies besides their histogram. */
export interface LatencyTotals {
  count: number;
  sumMs: number;
  maxMs: number;
}

/**
 * Estimates the latency of a rank by linear interpolation inside its histogram bucket, as Prometheus'
 * histogram_quantile does: off by less than the width of that bucket. Beyond the last bound it interpolates up to the
 * maximum; but those from the rank on, the largest left out, cannot be more than their sum allows.
 *
 * @param rank 1 for the smallest latency.
 * @param cumulative count of latencies at or below each bound.
 * @returns ms.
 */
export function latencyInHistogram(rank: number, cumulative: number[], totals: LatencyTotals): number {
  const { count, sumMs, maxMs } = totals;
  if (rank >= count) return maxMs;
  let below = 0;
  let lower = 0;
  const between = (upper: number, upTo: number) => {
    const most = Math.min(upper, maxMs, (sumMs - maxMs) / (count - rank));
    return round(
      Math.min(lower + ((Math.min(upper, maxMs) - lower) * (rank - below)) / (upTo - below), most),
    );
  };
  for (const [i, bound] of LATENCY_BOUNDS_MS.entries()) {
    const upTo = cumulative[i]!;
    if (upTo >= rank && upTo > below) return between(bound, upTo);
    below = upTo;
    lower = bound;
  }
  return between(maxMs, count);
}

/** Mean latency in ms to the microsecond, or null without any. */
export function averageMs(sumMs: number, count: number): number | null {
  return count === 0 ? null : round(sumMs / count);
}

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
