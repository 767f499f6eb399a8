const DAYS_IN_MONTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Reads a date-time to microseconds since the Unix epoch; further digits are cut off. Taken are
 * - RFC 3339 and ISO 8601 in the extended format (`2026-11-21T10:00:00.123456Z`) and the basic one (`20261121T100000Z`),
 *   with a space in place of the `T`, a comma before the fraction, without seconds or minutes, offsets as `+02:00`,
 *   `+0200` and `+02`; `24:00` is the next day's beginning;
 * - a second 60 at 23:59 UTC: the last microsecond of the second before, so that a leap second is of the day that it ends;
 * - a number of 10 digits, with or without a fraction, as seconds since the epoch, of 13 as ms, 16 as µs, 19 as ns.
 *
 * @param zoneless how to read a time without a zone: refuse it, or take it as UTC.
 * @returns NaN when the text is no such time.
 */
export function parseTimestamp(text: string, zoneless: 'refuse' | 'utc' = 'refuse'): number {
  const micros = parseCommon(text, zoneless);
  return Number.isNaN(micros) ? parseRare(text, zoneless) : micros;
}

/** What to say of a text that `parseTimestamp` does not take. */
export function timestampFault(text: string): string {
  if (/^[+-]?\d+(?:\.\d+)?$/.test(text)) {
    return 'is a number of neither 10 digits (seconds since 1970), 13 (ms), 16 (µs) nor 19 (ns): send that, or an ISO 8601 date-time with a zone';
  }
  if (!Number.isNaN(parseTimestamp(text, 'utc'))) {
    return 'must be an ISO 8601 date-time with a zone: this one has none, add Z or an offset such as +02:00';
  }
  if (/^(?:[+-]\d{6}|[+-]?\d{4})-?(?:W\d\d|\d{3}(?!\d))/.test(text)) {
    return 'must be an ISO 8601 date-time with a zone: year, month and day, no week or ordinal date';
  }
  return 'must be an ISO 8601 date-time with a zone, such as 2026-11-27T17:37:00Z';
}

/**
 * The form that nearly all times have. By hand because it runs once per event: a regular expression and `Date.parse`
 * take four times as long and stop at milliseconds.
 */
function parseCommon(text: string, zoneless: 'refuse' | 'utc'): number {
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  const second = digits(text, 17, 2);
  const separator = text.charCodeAt(10) | 0x20; // 'T', 't' or a space
  if (
    text.charCodeAt(4) !== 45 ||
    text.charCodeAt(7) !== 45 ||
    (separator !== 116 && separator !== 32) ||
    text.charCodeAt(13) !== 58 ||
    text.charCodeAt(16) !== 58 ||
    !(month >= 1 && month <= 12 && day >= 1 && day <= DAYS_IN_MONTH[month - 1]!) ||
    !(year >= 1 && hour <= 23 && minute <= 59 && second <= 59) ||
    (month === 2 && day === 29 && !isLeapYear(year))
  ) {
    return Number.NaN;
  }
  let at = 19;
  let micros = 0;
  if (text.charCodeAt(at) === 46) {
    let scale = 100_000;
    const first = ++at;
    for (let digit = digitAt(text, at); digit >= 0; digit = digitAt(text, ++at)) {
      micros += digit * scale;
      scale = scale === 1 ? 0 : scale / 10;
    }
    if (at === first) return Number.NaN;
  }
  const offsetMinutes = zoneOffset(text, at, zoneless);
  const days = daysSinceEpoch(year, month, day);
  return ((days * 24 + hour) * 60 + minute - offsetMinutes) * 60_000_000 + second * 1_000_000 + micros;
}

const ZONE = '([Zz]|[+\\-\u2212]\\d\\d(?::?\\d\\d)?)?';
const EXTENDED = new RegExp(
  `^(\\d{4})-(\\d\\d)-(\\d\\d)[Tt ](\\d\\d)(?::(\\d\\d)(?::(\\d\\d)(?:[.,](\\d+))?)?)?${ZONE}$`,
);
const BASIC = new RegExp(
  `^(\\d{4})(\\d\\d)(\\d\\d)[Tt ](\\d\\d)(?:(\\d\\d)(?:(\\d\\d)(?:[.,](\\d+))?)?)?${ZONE}$`,
);

/** Digits of nanoseconds since the epoch: the form of every span of OpenTelemetry. */
const DIGITS_OF_NANOS = 19;

/** All that has another form. */
function parseRare(text: string, zoneless: 'refuse' | 'utc'): number {
  if (text.length === DIGITS_OF_NANOS) {
    const micros = digits(text, 0, 16);
    if (!Number.isNaN(micros) && !Number.isNaN(digits(text, 16, 3))) return micros;
  }
  const match = EXTENDED.exec(text) ?? BASIC.exec(text);
  if (!match) return parseEpoch(text);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [fraction = '', zone] = match.slice(7);
  const micros = Number(fraction.slice(0, 6).padEnd(6, '0'));
  const endOfDay = hour === 24 && minute === 0 && second === 0 && !/[1-9]/.test(fraction);
  if (
    !(month >= 1 && month <= 12 && day >= 1 && day <= DAYS_IN_MONTH[month - 1]!) ||
    !(year >= 1 && (hour <= 23 || endOfDay) && minute <= 59 && second <= 60) ||
    (month === 2 && day === 29 && !isLeapYear(year))
  ) {
    return Number.NaN;
  }
  const minutes = (daysSinceEpoch(year, month, day) * 24 + hour) * 60 + minute - offsetOf(zone, zoneless);
  if (second < 60) return minutes * 60_000_000 + second * 1_000_000 + micros;
  const lastOfDay = ((minutes % 1_440) + 1_440) % 1_440 === 1_439;
  return lastOfDay ? minutes * 60_000_000 + 59_999_999 : Number.NaN;
}

/** Minutes east of UTC; NaN where it must be told and is not. */
function offsetOf(zone: string | undefined, zoneless: 'refuse' | 'utc'): number {
  if (zone === undefined) return zoneless === 'utc' ? 0 : Number.NaN;
  if (zone === 'Z' || zone === 'z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(':', ''));
  if (hours > 23 || minutes > 59) return Number.NaN;
  return (zone[0] === '+' ? 1 : -1) * (hours * 60 + minutes);
}

/** Digits of a time since the epoch in s, ms, µs and ns, from 2001 to 2286: how many tell which it is. */
function parseEpoch(text: string): number {
  const match = /^(\d{10}(?:\d{3}){0,3})(?:\.(\d+))?$/.exec(text);
  if (!match) return Number.NaN;
  const digits = match[1]! + (match[2] ?? '');
  return Number(digits.slice(0, 16).padEnd(16, '0'));
}

/** ISO 8601 in UTC, with microseconds only where there are any. */
export function formatTimestamp(micros: number): string {
  const ms = Math.floor(micros / 1_000);
  const rest = micros - ms * 1_000;
  const text = new Date(ms).toISOString();
  return rest === 0 ? text : `${text.slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

function zoneOffset(text: string, at: number, zoneless: 'refuse' | 'utc'): number {
  if (at === text.length) return zoneless === 'utc' ? 0 : Number.NaN;
  const sign = text.charCodeAt(at);
  if ((sign === 90 || sign === 122) && at + 1 === text.length) return 0;
  const hours = digits(text, at + 1, 2);
  const minutes = digits(text, at + 4, 2);
  if ((sign !== 43 && sign !== 45) || text.charCodeAt(at + 3) !== 58 || at + 6 !== text.length)
    return Number.NaN;
  if (!(hours <= 23 && minutes <= 59)) return Number.NaN;
  return (sign === 45 ? -1 : 1) * (hours * 60 + minutes);
}

function digits(text: string, from: number, count: number): number {
  let value = 0;
  for (let i = from; i < from + count; i++) {
    const digit = digitAt(text, i);
    if (digit < 0) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}

function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - 48;
  return digit >= 0 && digit <= 9 ? digit : -1;
}

function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
