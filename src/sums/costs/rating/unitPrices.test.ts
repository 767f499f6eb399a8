import { describe, expect, it } from 'vitest';
import { amountOf, parsePrice, priceUnits } from './unitPrices.ts';

describe('parsePrice', () => {
  it.each([
    ['1.5e-07', 0, '0.00000015'],
    ['2.50', 6, '0.0000025'],
    ['10', 6, '0.00001'],
    ['0.0', 0, '0'],
    ['-0', 0, '0'],
    ['1e-24', 0, '0.000000000000000000000001'],
    ['1E+2', 0, '100'],
    ['999999999999.999999999999999999999999', 0, '999999999999.999999999999999999999999'],
  ])('%s by 10^%i is %s', (text, power, price) => {
    expect(parsePrice(text, power)).toEqual({ price });
  });

  it.each([
    ['-1', 0, 'negative'],
    ['1e-25', 0, 'too_many_digits'],
    ['1e-20', 6, 'too_many_digits'],
    ['1e12', 0, 'too_many_digits'],
    ['1e999', 0, 'too_many_digits'],
    ['NaN', 0, 'value_invalid'],
    ['', 0, 'value_invalid'],
    ['1,5', 0, 'value_invalid'],
    ['.5', 0, 'value_invalid'],
    ['1e1000', 0, 'value_invalid'],
    [' 1', 0, 'value_invalid'],
  ])('%s by 10^%i is refused: %s', (text, power, fault) => {
    expect(parsePrice(text, power)).toEqual({ fault });
  });
});

describe('amountOf', () => {
  it.each(['0', '0.000000000000000000000001', '12.5', '999999999999', '100'])('has %s as it was', (price) => {
    expect(amountOf(priceUnits(price))).toBe(price);
  });
});
