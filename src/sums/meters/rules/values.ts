import { parseDecimal } from '../../../model/decimal.ts';
import { JsonNumber } from '../../../model/json.ts';
import { plainDecimal } from '../../../model/plainDecimal.ts';
import type { IgnoredReason } from './outcome.ts';

/*
 * What a value in an event counts as. sqlOfValues.ts says the same to PostgreSQL, and
 * test/integration/sums/meterRules.test.ts holds the two equal. A value is what JSON has, undefined where there is none.
 */

/** Digits before the point and after it that a value may have. */
const WHOLE_DIGITS = 20;
const FRACTION_DIGITS = 18;
/** Longest dimension value, in characters: one that is longer counts as none. */
export const MAX_DIMENSION_VALUE = 512;

/** Between them, and at 0, a double's text has neither exponent nor more than 18 digits after the point. */
const PLAIN_FROM = 0.01;
const PLAIN_BELOW = 1e20;

/** Whether a double is one whose text is its value by the rule for numbers, but for the sign of 0. */
export function isPlainDouble(value: number): boolean {
  const size = Math.abs(value);
  return (size >= PLAIN_FROM && size < PLAIN_BELOW) || size === 0;
}

/**
 * The number that a value is: a plain decimal. A JSON number is rounded to 18 digits after the point, half away from 0,
 * by its decimal text. A string is taken to the last digit, as `parseDecimal` takes it.
 *
 * @returns null where it is none, or one that is out of range: `numberIgnored` says which.
 */
export function numberOf(value: unknown): string | null {
  if (typeof value === 'number') {
    if (isPlainDouble(value)) return String(value + 0);
    return Number.isFinite(value) ? rounded(plainDecimal(String(value))) : null;
  }
  if (typeof value === 'string') return parseDecimal(value);
  return value instanceof JsonNumber ? rounded(plainDecimal(value.toString())) : null;
}

/** Why `numberOf` has found nothing. */
export function numberIgnored(value: unknown): IgnoredReason {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  const isNumber =
    typeof value === 'number' ||
    value instanceof JsonNumber ||
    (typeof value === 'string' && value.length <= 100 && DECIMAL.test(value));
  return isNumber ? 'out_of_range' : 'not_a_number';
}
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/;

/** The text of a value: of a string itself, of a number its plain decimal with all digits, of a boolean its name. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') {
    return isPlainDouble(value) ? String(value + 0) : plainDecimal(String(value));
  }
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  return value instanceof JsonNumber ? plainDecimal(value.toString()) : null;
}

/** Why `textOf` has found nothing. */
export function textIgnored(value: unknown): IgnoredReason {
  if (value === undefined) return 'missing';
  return value === null ? 'null' : 'not_a_scalar';
}

/** What a value is as that of a dimension: its text, null where it has none or one of more than 512 characters. */
export function dimensionOf(value: unknown): string | null {
  const text = textOf(value);
  return text === null || text.length <= MAX_DIMENSION_VALUE || isShort(text) ? text : null;
}

/** Whether it has few characters, though many UTF-16 code units. */
function isShort(text: string): boolean {
  return text.length <= 2 * MAX_DIMENSION_VALUE && [...text].length <= MAX_DIMENSION_VALUE;
}

/** @param decimal as `plainDecimal` writes it. @returns null where it is 10^20 or more, rounded. */
function rounded(decimal: string): string | null {
  const point = decimal.indexOf('.');
  const cut = point + 1 + FRACTION_DIGITS;
  const result = point < 0 || decimal.length <= cut ? decimal : roundedAt(decimal, point, cut);
  const end = result.indexOf('.');
  const whole = (end < 0 ? result.length : end) - (result.startsWith('-') ? 1 : 0);
  return whole > WHOLE_DIGITS ? null : result;
}

function roundedAt(decimal: string, point: number, cut: number): string {
  const from = decimal.startsWith('-') ? 1 : 0;
  let units = BigInt(decimal.slice(from, point) + decimal.slice(point + 1, cut));
  if (decimal.charCodeAt(cut) >= 53) units++;
  const digits = units.toString().padStart(FRACTION_DIGITS + 1, '0');
  const text = `${digits.slice(0, -FRACTION_DIGITS)}.${digits.slice(-FRACTION_DIGITS)}`;
  return plainDecimal(from === 1 ? `-${text}` : text);
}
