import { formatTimestamp, parseTimestamp } from '../../model/timestamp.ts';

/** How times are written: ISO 8601, or as a number since 1970-01-01T00:00:00Z in the unit. */
export const TIME_FORMATS = ['iso', 's', 'ms', 'us', 'ns'] as const;
export type TimeFormat = (typeof TIME_FORMATS)[number];

export const UNIT_NAMES: Record<Exclude<TimeFormat, 'iso'>, string> = {
  s: 'seconds',
  ms: 'milliseconds',
  us: 'microseconds',
  ns: 'nanoseconds',
};

/** Digits behind the point of a number of the unit, up to a microsecond. */
const DECIMALS: Record<Exclude<TimeFormat, 'iso'>, number> = { s: 6, ms: 3, us: 0, ns: -3 };

/**
 * A time as the native event has it. What is none stays as it is, and the validation says so, as it does of a number that is
 * beyond all time in its unit: it is not taken for one of another unit. Digits beyond microseconds are cut off; a time without a zone is UTC.
 *
 * @param value text, or a number of JSON.
 */
export function timeFrom(value: unknown, format: TimeFormat): unknown {
  if (format === 'iso') return typeof value === 'string' ? withZone(value.trim()) : value;
  const text = typeof value === 'string' ? value.trim() : String(value);
  const micros = microsOf(text, DECIMALS[format]);
  if (micros === null) return text;
  // Beyond the year 9999 there is no text for it.
  return micros >= 253_402_300_800_000_000n ? `${text} ${format}` : formatTimestamp(Number(micros));
}

/** Without passing through a double: nanoseconds do not fit one. Null for what is not a number from 0 up. */
function microsOf(text: string, decimals: number): bigint | null {
  const match = /^\+?(\d{1,30})(?:\.(\d{0,30}))?(?:[eE]\+?(\d{1,2}))?$/.exec(text);
  if (!match) return null;
  const [, whole, fraction = '', exponent = '0'] = match;
  const shift = Number(exponent) + decimals;
  return shift < 0
    ? BigInt(whole!.slice(0, shift) || '0')
    : BigInt(whole! + fraction.slice(0, shift).padEnd(shift, '0'));
}

/** Units by the number of digits that the seconds of this century have in them. */
const UNITS_BY_DIGITS: Record<number, Exclude<TimeFormat, 'iso'>> = {
  9: 's',
  10: 's',
  12: 'ms',
  13: 'ms',
  15: 'us',
  16: 'us',
  18: 'ns',
  19: 'ns',
};

/** The unit that a text was probably written in; null when it does not look like a time since the epoch. */
export function likelyFormat(text: string): Exclude<TimeFormat, 'iso'> | null {
  const whole = /^\s*(\d+)(\.\d*)?\s*$/.exec(text)?.[1];
  return whole === undefined ? null : (UNITS_BY_DIGITS[whole.length] ?? null);
}

function withZone(time: string): string {
  return Number.isNaN(parseTimestamp(time)) && !Number.isNaN(parseTimestamp(time, 'utc')) ? `${time}Z` : time;
}
