import { oneOf } from '../../address/oneOf.ts';
import type { Range } from '../../address/range.ts';
import { fromLocal, spanMs, stamp } from '../../format/times.ts';

export type Granularity = '30s' | '1m' | '5m' | '15m' | '1h' | '1d' | '1mo';

/** To choose from; '': the one that fits the range. */
export const GRANULARITIES = {
  '': 'fitting',
  '30s': '30 s',
  '1m': '1 min',
  '5m': '5 min',
  '15m': '15 min',
  '1h': 'hours',
  '1d': 'days',
  '1mo': 'months',
};
const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const LENGTHS = {
  '30s': MINUTE / 2,
  '1m': MINUTE,
  '5m': 5 * MINUTE,
  '15m': 15 * MINUTE,
  '1h': 60 * MINUTE,
  '1d': DAY,
};

/** The granularity that shows a range of so many ms in some 50 to 200 buckets. */
export function fitting(ms: number): Granularity {
  const most = Object.entries(LENGTHS).find(([, length]) => ms / length <= 200);
  return (most?.[0] ?? '1d') as Granularity;
}

/**
 * How a range is shown in buckets: its length in ms, their granularity, and where the first one begins.
 *
 * @param named the granularity that was chosen; none of those that there are: the one that fits.
 */
export function cutOf({ from, to, span, zone }: Range, named: string | null = null) {
  const length = span === null ? +to - +from : spanMs(span)!;
  const granularity = (oneOf(GRANULARITIES, named) || fitting(length)) as Granularity;
  // Whole buckets where the range moves along; a range that stands still is taken as it is.
  return { length, granularity, from: span === null ? from : bucketStart(from, granularity, zone) };
}

/** Where the bucket begins that an instant is in. */
export function bucketStart(at: Date, granularity: Granularity, zone: string): Date {
  if (granularity === '1mo') return fromLocal(`${stamp(at, zone).slice(0, 7)}-01T00:00:00`, zone);
  if (granularity === '1d') return fromLocal(`${stamp(at, zone).slice(0, 10)}T00:00:00`, zone);
  const length = LENGTHS[granularity];
  const past = Date.parse(`${stamp(at, zone).replace(' ', 'T')}Z`) % length;
  return new Date(Math.floor(at.getTime() / 1_000) * 1_000 - past);
}

/** The same clock time so many ms before, where these are whole days; else the instant. */
export function earlier(at: Date, ms: number, zone: string): Date {
  if (ms % DAY !== 0) return new Date(at.getTime() - ms);
  const shown = Date.parse(`${stamp(at, zone).replace(' ', 'T')}Z`);
  return fromLocal(new Date(shown - ms).toISOString(), zone);
}

/** All buckets of a range, in ms, those without events too. */
export function bucketsOf(from: Date, to: Date, granularity: Granularity, zone: string): number[] {
  const all: number[] = [];
  let at = bucketStart(from, granularity, zone).getTime();
  while (at < to.getTime() && all.length < 20_000) {
    all.push(at);
    // Days and months by the calendar: well into the next one, and back to where that begins.
    if (granularity === '1mo')
      at = bucketStart(new Date(at + 45 * DAY - 14 * DAY), granularity, zone).getTime();
    else if (granularity === '1d') at = bucketStart(new Date(at + 1.3 * DAY), granularity, zone).getTime();
    else at += LENGTHS[granularity];
  }
  return all;
}
