/** From `from` (ms since the epoch) on, the zone's clock is `offsetMs` ahead of UTC, until the next one begins. */
export interface ZoneOffset {
  from: number;
  offsetMs: number;
}

/** UTC, at all times. */
export const UTC: readonly ZoneOffset[] = [{ from: Number.NEGATIVE_INFINITY, offsetMs: 0 }];

/**
 * The first moment (ms) at which the zone's clock shows a time, or one after it: where the time is left out, when the
 * clock is set; where it comes twice, at the first.
 *
 * @param local the time in ms, as if it were UTC.
 */
export function firstShown(offsets: readonly ZoneOffset[], local: number): number {
  for (const [i, { from, offsetMs }] of offsets.entries()) {
    const at = Math.max(from, local - offsetMs);
    if (at < (offsets[i + 1]?.from ?? Number.POSITIVE_INFINITY)) return at;
  }
  throw new Error('there is no such time');
}
