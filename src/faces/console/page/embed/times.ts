import { aheadOf, atClock } from '../format/times.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** From when to when is asked. */
export interface Span {
  /** As it is asked for: RFC 3339. */
  from: string;
  /** Left out: up to now. */
  to: string | null;
  granularity: string;
}

/** A span as the attributes have it. */
export interface AskedSpan {
  /** `24h`, `30d`, `4w`, `12mo`, `1y`: so many, the present one among them. */
  range: string | null;
  from: string | null;
  to: string | null;
  granularity: string | null;
}

/**
 * What the attributes ask for, by the calendar of a zone.
 *
 * @throws {RangeError} where the range cannot be read, or the zone is not known.
 */
export function spanOf({ range, from, to, granularity }: AskedSpan, zone: string): Span {
  const begin = from ?? new Date(beginOf(range ?? '30d', zone)).toISOString();
  const end = to === null ? Date.now() : Date.parse(to);
  return { from: begin, to, granularity: granularity ?? fitting(end - Date.parse(begin)) };
}

function fitting(lengthMs: number): string {
  if (lengthMs <= 2 * DAY_MS) return '1h';
  return lengthMs <= 100 * DAY_MS ? '1d' : '1mo';
}

function beginOf(range: string, zone: string): number {
  const [, digits, unit] = /^([1-9]\d{0,3})(h|d|w|mo|y)$/.exec(range) ?? [];
  if (digits === undefined) throw new RangeError(`range "${range}" is not one such as 24h, 30d or 12mo`);
  const count = Number(digits);
  // What the clock of the zone shows, as if it were that of UTC.
  const now = Date.now() + aheadOf(Date.now(), zone);
  if (unit === 'h') return atClock(Math.floor(now / HOUR_MS) * HOUR_MS, zone) - (count - 1) * HOUR_MS;
  if (unit === 'd' || unit === 'w') {
    const days = unit === 'w' ? 7 * count : count;
    return atClock((Math.floor(now / DAY_MS) - days + 1) * DAY_MS, zone);
  }
  const months = unit === 'y' ? 12 * count : count;
  const date = new Date(now);
  return atClock(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - months + 1), zone);
}

/** Texts for moments: of windows in the table, and short ones below the chart. */
export interface TimeTexts {
  long(ms: number): string;
  short(ms: number): string;
}

/** @param granularity of the windows; @param spanMs all of them. */
export function timeTexts(
  locale: string | undefined,
  zone: string,
  granularity: string,
  spanMs: number,
): TimeTexts {
  const make = (options: Intl.DateTimeFormatOptions) => {
    const format = new Intl.DateTimeFormat(locale, { timeZone: zone, ...options });
    return (ms: number) => format.format(ms);
  };
  if (granularity === '1mo') {
    return {
      long: make({ month: 'long', year: 'numeric' }),
      short: make({ month: 'short', year: '2-digit' }),
    };
  }
  const day = { day: 'numeric', month: 'short' } as const;
  if (granularity === '1d') return { long: make({ ...day, year: 'numeric' }), short: make(day) };
  const hour = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  const exact = granularity === '30s' ? { ...hour, second: '2-digit' as const } : hour;
  return {
    long: make({ ...day, year: 'numeric', ...exact }),
    short: make(spanMs > 2 * DAY_MS ? day : hour),
  };
}
