import { TidemarkError } from '../errors.ts';
import { WINDOW_MS } from '../windows/window.ts';
import type { Level } from './segments.ts';

export const GRANULARITIES = ['30s', '1m', '5m', '15m', '1h', '1d', '1mo'] as const;
export type Granularity = (typeof GRANULARITIES)[number];

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

/** Shortest length of a bucket in ms; a month may be longer. */
export const GRANULARITY_MS: Record<Granularity, number> = {
  '30s': WINDOW_MS,
  '1m': MINUTE,
  '5m': 5 * MINUTE,
  '15m': 15 * MINUTE,
  '1h': HOUR,
  '1d': DAY,
  '1mo': 28 * DAY,
};

const INTERVAL: Record<Granularity, string> = {
  '30s': '30 seconds',
  '1m': '1 minute',
  '5m': '5 minutes',
  '15m': '15 minutes',
  '1h': '1 hour',
  '1d': '1 day',
  '1mo': '1 month',
};

/** Whether the buckets are those of a time zone's clock and calendar; shorter ones are the same everywhere. */
export function followsTimezone(granularity: Granularity): boolean {
  return GRANULARITY_MS[granularity] >= HOUR;
}

/** SQL for the start of the bucket that a rollup's `bucket` falls into. */
export function bucketOf(granularity: Granularity, zone: string): string {
  switch (granularity) {
    case '1h':
      return `date_trunc('hour', bucket, ${zone})`;
    case '1d':
      return `date_trunc('day', bucket, ${zone})`;
    case '1mo':
      return `date_trunc('month', bucket, ${zone})`;
    default:
      return `date_bin('${INTERVAL[granularity]}', bucket, 'epoch'::timestamptz)`;
  }
}

/** End of a bucket: on the zone's calendar from a day up, since a day there may have 23 or 25 hours. */
export function bucketEndOf(granularity: Granularity, bucket: string, zone: string): string {
  const calendar = granularity === '1d' || granularity === '1mo';
  return calendar
    ? `(((${bucket}) at time zone ${zone}) + interval '${INTERVAL[granularity]}') at time zone ${zone}`
    : `${bucket} + interval '${INTERVAL[granularity]}'`;
}

/** The coarsest level whose buckets never straddle a bucket of the answer. */
export function coarsestLevel(granularity: Granularity, timezone: string, from: number, to: number): Level {
  if (!followsTimezone(granularity)) return '30s';
  const offsets = offsetsOf(timezone, from, to);
  if (offsets.some((offset) => offset % HOUR !== 0)) return '30s';
  return granularity === '1h' || offsets.some((offset) => offset !== 0) ? '1h' : '1d';
}

/**
 * Offsets (ms) from UTC that the zone has in the range, sampled daily: no zone changes its offset and back within
 * a day.
 */
function offsetsOf(timezone: string, from: number, to: number): number[] {
  if (timezone === 'UTC') return [0];
  const format = zoneFormat(timezone);
  const offsets = new Set<number>();
  for (let at = from - DAY; at < to + DAY; at += DAY) offsets.add(offsetAt(format, at));
  return [...offsets];
}

function offsetAt(format: Intl.DateTimeFormat, ms: number): number {
  const at = Math.floor(ms / 1_000) * 1_000;
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(part.year!, part.month! - 1, part.day, part.hour, part.minute, part.second) - at;
}

/**
 * A name from the IANA time zone database that both this service and PostgreSQL understand.
 *
 * @throws {TidemarkError} `timezone_invalid`.
 */
export function checkTimezone(timezone: string): string {
  // Region/City only: abbreviations mean one thing to Intl and another to PostgreSQL (IST: India, Israel).
  if (/^(UTC|GMT|[A-Za-z_]+\/.+)$/i.test(timezone)) {
    try {
      zoneFormat(timezone);
      return timezone;
    } catch {
      // unknown to Intl: refused below
    }
  }
  throw unknownTimezone(timezone);
}

export function unknownTimezone(timezone: string): TidemarkError {
  return new TidemarkError(
    'timezone_invalid',
    `${timezone} is not a time zone; use a name such as Europe/Berlin`,
  );
}

function zoneFormat(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
}
