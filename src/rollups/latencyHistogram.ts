/** Upper bounds (ms) of the cumulative histogram: the columns latency_le_5 … latency_le_120000 of the rollups. */
export const LATENCY_BOUNDS_MS = [
  5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000,
] as const;

export const LATENCY_COLUMNS = LATENCY_BOUNDS_MS.map((bound) => `latency_le_${bound}`);

/**
 * Estimates a percentile by linear interpolation inside its histogram bucket, as Prometheus' histogram_quantile
 * does: off by less than the width of that bucket. Beyond the last bound it interpolates up to the maximum.
 *
 * @param quantile 0 to 1.
 * @param cumulative count of latencies at or below each bound.
 * @returns ms, or null without any latency.
 */
export function percentile(
  quantile: number,
  cumulative: number[],
  count: number,
  maxMs: number | null,
): number | null {
  if (count === 0 || maxMs === null) return null;
  const rank = quantile * count;
  let below = 0;
  let lower = 0;
  for (const [i, bound] of LATENCY_BOUNDS_MS.entries()) {
    const upTo = cumulative[i]!;
    if (upTo >= rank && upTo > below) {
      const upper = Math.min(bound, maxMs);
      return round(lower + ((upper - lower) * (rank - below)) / (upTo - below));
    }
    below = upTo;
    lower = bound;
  }
  return round(lower + ((maxMs - lower) * (rank - below)) / (count - below));
}

/** Mean latency in ms to the microsecond, or null without any. */
export function averageMs(sumMs: number, count: number): number | null {
  return count === 0 ? null : round(sumMs / count);
}

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
