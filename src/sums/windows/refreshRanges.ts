/** A call of refresh_continuous_aggregate, whatever it finds to do, in µs: 3 to 5 ms without fsync, 18 to 20 with it. */
const CALL_US = 4_000;
/** What a call may be expected to take at most, in µs; one bucket is never cut. Others wait for a call, but not longer. */
const LONGEST_US = 500_000;
/** A row of a rollup that late events have changed or made, in µs. */
const ROW_US = 45;

/** A bucket that holds late events. */
export interface LateBucket {
  /** In ms since the epoch. */
  start: number;
  /** Late windows in it, one per customer. */
  rows: number;
}

/** Refreshed in one call: [from, to), in ms since the epoch. */
export interface Range {
  from: number;
  to: number;
}

/**
 * The ranges that cover given buckets at the least cost. Two are bridged where what lies between costs less than another
 * call would; so no range begins before, or ends behind, one of the buckets. None is longer than what one call should do.
 *
 * @param buckets ascending.
 * @param work estimated µs of work in [from, to) besides that of the late rows.
 */
export function refreshRanges(
  buckets: LateBucket[],
  lengthMs: number,
  work: (from: number, to: number) => number,
): Range[] {
  const ranges: Range[] = [];
  let last: Range | undefined;
  let cost = 0;
  for (const { start, rows } of buckets) {
    const end = start + lengthMs;
    const own = work(start, end) + rows * ROW_US;
    const gap = last ? work(last.to, start) : 0;
    if (last && gap < CALL_US && cost + gap + own <= LONGEST_US) {
      last.to = end;
      cost += gap + own;
    } else {
      last = { from: start, to: end };
      cost = own;
      ranges.push(last);
    }
  }
  return ranges;
}
