import { fromUnits, toUnits } from '../../../model/decimal.ts';
import { aroundPoint } from '../../../model/plainDecimal.ts';
import type { TokenKind } from '../../meters/definition/usageSeries.ts';

/** What a price may be of: a token of each kind that can be told apart, and a call. */
export const PRICED = [
  'input',
  'output',
  'cachedInput',
  'reasoning',
  'cacheWrite',
  'audioInput',
  'audioOutput',
  'call',
] as const satisfies readonly (TokenKind | 'call')[];
export type Priced = (typeof PRICED)[number];

/** Digits that a unit price may have before the point and after it. */
export const PRICE_WHOLE_DIGITS = 12;
export const PRICE_FRACTION_DIGITS = 24;

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/;

/**
 * A unit price as it is written: a JSON number, or a decimal as text.
 *
 * @param power of ten that it is divided by: 6 where it is for a million.
 * @returns a plain decimal; or why it is none.
 */
export function parsePrice(text: string, power = 0): { price: string } | { fault: PriceFault } {
  const match = text.length <= 100 ? DECIMAL.exec(text) : null;
  if (!match) return { fault: 'value_invalid' };
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const { integer, rest } = aroundPoint(whole, fraction, Number(exponent) - power);
  if (integer === '' && rest === '') return { price: '0' };
  if (sign === '-') return { fault: 'negative' };
  if (integer.length > PRICE_WHOLE_DIGITS || rest.length > PRICE_FRACTION_DIGITS)
    return { fault: 'too_many_digits' };
  return { price: `${integer || '0'}${rest && `.${rest}`}` };
}
export type PriceFault = 'value_invalid' | 'negative' | 'too_many_digits';

/** A price as `parsePrice` returns it, in units of the last digit that one may have. */
export function priceUnits(price: string): bigint {
  return toUnits(price, PRICE_FRACTION_DIGITS);
}

/** An amount in units of a price's last digit, as a plain decimal. */
export function amountOf(units: bigint): string {
  return fromUnits(units, PRICE_FRACTION_DIGITS);
}
