import { expect, it } from 'vitest';
import { compareDecimals, plainDecimal } from './plainDecimal.ts';

it.each([
  ['0', '0'],
  ['-0', '0'],
  ['-0.00e5', '0'],
  ['+1.50', '1.5'],
  ['1e21', '1000000000000000000000'],
  ['1.5e-7', '0.00000015'],
  ['-12.340E+1', '-123.4'],
  ['.5', '0.5'],
  ['5.', '5'],
  ['007.70', '7.7'],
  ['1234567890123456789.1234567890123456789', '1234567890123456789.1234567890123456789'],
  ['100e-2', '1'],
  ['0e999999999999', '0'],
])('%s is %s', (text, plain) => {
  expect(plainDecimal(text)).toBe(plain);
});

it('takes nothing else', () => {
  expect(() => plainDecimal('NaN')).toThrow(RangeError);
});

it('orders decimals', () => {
  const ordered = [
    '-100',
    '-99.5',
    '-99.05',
    '-9',
    '-0.5',
    '-0.05',
    '0',
    '0.05',
    '0.5',
    '0.51',
    '1',
    '9.9',
    '10',
    '10.01',
    '100',
  ];
  for (const [i, a] of ordered.entries()) {
    for (const [j, b] of ordered.entries()) {
      expect(Math.sign(compareDecimals(a, b)), `${a} ${b}`).toBe(Math.sign(i - j));
    }
  }
});
