import type { ZoneOffset } from '../../ground/zones/zoneOffset.ts';
import { WINDOW_MS } from '../../model/window.ts';

export const GRANULARITIES = ['30s', '1m', '5m', '15m', '1h', '1d', '1mo'] as const;
export type Granularity = (typeof GRANULARITIES)[number];

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

/** Usual length of a bucket in ms; the shortest one of a month. */
export const GRANULARITY_MS: Record<Granularity, number> = {
  '30s': WINDOW_MS,
  '1m': MINUTE,
  '5m': 5 * MINUTE,
  '15m': 15 * MINUTE,
  '1h': HOUR,
  '1d': DAY,
  '1mo': 28 * DAY,
};

/** How long before a moment to look for the start of its bucket: no zone has left out more than one day. */
const LOOK_BACK_MS = { '1h': 2 * HOUR, '1d': 4 * DAY, '1mo': 66 * DAY };

/** Whether the buckets are those of a time zone's clock and calendar; shorter ones are the same everywhere. */
export function followsTimezone(granularity: Granularity): granularity is '1h' | '1d' | '1mo' {
  return GRANULARITY_MS[granularity] >= HOUR;
}

/** SQL for the start of the hour or the day in UTC that a rollup's `bucket` falls into. */
export function utcBucketOf(granularity: '1h' | '1d'): string {
  return `date_trunc('${granularity === '1h' ? 'hour' : 'day'}', bucket, 'UTC')`;
}

/**
 * The starts of the buckets that [from, to) touches, ascending, and the end of the last: buckets leave no gap and
 * never overlap, each ends where the next begins.
 *
 * A day or a month begins at the first instant at which the zone's calendar shows it: where midnight comes twice, at
 * the first one; where it is left out, when the clock is set; and once it has begun, a clock that is set back over
 * midnight does not end it. An hour begins when the zone's clock shows a full hour, and when it is set: where it is set
 * by half an hour, there is an hour of 30 minutes.
 *
 * @param offsets of the zone, from 70 days before `from` on.
 */
export function bucketEdges(
  granularity: Granularity,
  offsets: readonly ZoneOffset[],
  from: number,
  to: number,
): number[] {
  const edges: number[] = [];
  for (const edge of startsSince(granularity, offsets, from)) {
    if (edge <= from) edges.length = 0;
    edges.push(edge);
    if (edge >= to) return edges;
  }
  throw new Error('time does not end');
}

/** The start (ms) of the bucket that a moment falls into. */
export function bucketStart(granularity: Granularity, offsets: readonly ZoneOffset[], at: number): number {
  return bucketEdges(granularity, offsets, at, at + 1)[0]!;
}

/** Starts of buckets, ascending, from one at or before `from` on, without end. What comes before that is no start. */
function* startsSince(
  granularity: Granularity,
  offsets: readonly ZoneOffset[],
  from: number,
): Generator<number> {
  if (!followsTimezone(granularity)) {
    const size = GRANULARITY_MS[granularity];
    for (let at = Math.floor(from / size) * size; ; at += size) yield at;
  }
  const begin = from - LOOK_BACK_MS[granularity];
  /** What the clock showed when the last bucket began, in ms as if it were UTC. */
  let shown = Number.NEGATIVE_INFINITY;
  for (const [i, { from: since, offsetMs }] of offsets.entries()) {
    const until = offsets[i + 1]?.from ?? Number.POSITIVE_INFINITY;
    if (until <= begin) continue;
    const set = Math.max(since, begin);
    const shows = floorOf(granularity, set + offsetMs);
    if (granularity === '1h' || shows > shown) {
      yield set;
      shown = shows;
    }
    for (shown = after(granularity, shown); shown - offsetMs < until; shown = after(granularity, shown)) {
      yield shown - offsetMs;
    }
    shown = before(granularity, shown);
  }
}

function floorOf(granularity: '1h' | '1d' | '1mo', local: number): number {
  if (granularity !== '1mo') {
    const size = GRANULARITY_MS[granularity];
    return Math.floor(local / size) * size;
  }
  const date = new Date(local);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
}

function after(granularity: '1h' | '1d' | '1mo', start: number): number {
  if (granularity !== '1mo') return start + GRANULARITY_MS[granularity];
  const date = new Date(start);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

function before(granularity: '1h' | '1d' | '1mo', start: number): number {
  return floorOf(granularity, start - 1);
}
