import { aroundPoint } from './plainDecimal.ts';

/** Digits before and after the decimal point that a value may have: numeric(38,18). */
const INTEGER_DIGITS = 20;
const FRACTION_DIGITS = 18;

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;

/**
 * Reads a JSON number or a decimal string to plain decimal notation without exponent, redundant zeros or plus
 * sign: `1.50e2` becomes `150`. A string is taken to the last digit. A number is rounded to 18 digits after the
 * point: it is a double, and what a client has computed ends in digits that nobody meant.
 *
 * @returns null when it is not a decimal of at most 38 digits, 18 of them after the point.
 */
export function parseDecimal(value: number | string): string | null {
  if (typeof value === 'number' && !Number.isFinite(value)) return null;
  const text = String(value);
  if (text.length > 100) return null;
  const match = DECIMAL.exec(text);
  if (!match) return null;
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  if (whole === '' && fraction === '') return null;
  const { integer, rest } = aroundPoint(whole, fraction, Number(exponent));
  if (rest.length > FRACTION_DIGITS && typeof value === 'number')
    return parseDecimal(value.toFixed(FRACTION_DIGITS));
  if (integer.length > INTEGER_DIGITS || rest.length > FRACTION_DIGITS) return null;
  if (integer === '' && rest === '') return '0';
  return `${sign === '-' ? '-' : ''}${integer || '0'}${rest ? `.${rest}` : ''}`;
}

/** Whether what `parseDecimal` has taken for 0 was something else, which is less than it can tell. */
export function isNotZero(value: number | string): boolean {
  return typeof value === 'number' && value !== 0;
}

/** @param value as `parseDecimal` returns it. */
export function isPositive(value: string): boolean {
  return value !== '0' && !value.startsWith('-');
}

/**
 * The exact sum of decimals as `parseDecimal` returns them, in the same notation but without bound.
 */
export function addDecimals(a: string, b: string): string {
  return fromUnits(toUnits(a) + toUnits(b));
}

/**
 * A plain decimal in units of its last digit.
 *
 * @param digits that it may have after the point; left out: those of one that `parseDecimal` returns.
 */
export function toUnits(value: string, digits = FRACTION_DIGITS): bigint {
  const point = value.indexOf('.');
  if (point < 0) return BigInt(value) * 10n ** BigInt(digits);
  const fraction = value.slice(point + 1);
  return BigInt(value.slice(0, point) + fraction.padEnd(digits, '0'));
}

/** The inverse of `toUnits`. */
export function fromUnits(units: bigint, digits = FRACTION_DIGITS): string {
  const all = (units < 0n ? -units : units).toString().padStart(digits + 1, '0');
  const fraction = all.slice(-digits).replace(/0+$/, '');
  const text = all.slice(0, -digits) + (fraction && `.${fraction}`);
  return units < 0n ? `-${text}` : text;
}
