import { expect, it } from 'vitest';
import { JsonNumber } from '../../../model/json.ts';
import { dimensionOf, numberIgnored, numberOf, textIgnored, textOf } from './values.ts';

const long = (text: string) => new JsonNumber(text);

it.each<[unknown, string]>([
  [0, '0'],
  [-0, '0'],
  [5, '5'],
  [-2.5, '-2.5'],
  [0.1 + 0.2, '0.30000000000000004'],
  [1e-7, '0.0000001'],
  [1e-18, '0.000000000000000001'],
  [5e-19, '0.000000000000000001'],
  [-5e-19, '-0.000000000000000001'],
  [4.9e-19, '0'],
  [-4.9e-19, '0'],
  [5e-324, '0'],
  [99_999_999_999_999_980_000, '99999999999999980000'],
  [long('1234567890123456789'), '1234567890123456789'],
  [long('1.0000000000000000005'), '1.000000000000000001'],
  [long('-1.0000000000000000005'), '-1.000000000000000001'],
  [long('1.00000000000000000049999'), '1'],
  [long('0.9999999999999999999'), '1'],
  [long('99999999999999999999.9999999999999999994'), '99999999999999999999.999999999999999999'],
  [long('1e-400'), '0'],
  ['12.50', '12.5'],
  ['+.5', '0.5'],
  ['5.', '5'],
  ['1e3', '1000'],
  ['-0', '0'],
  ['0.123456789012345678000', '0.123456789012345678'],
])('%s counts as %s', (value, decimal) => {
  expect(numberOf(value)).toBe(decimal);
});

it.each<[unknown, string]>([
  [undefined, 'missing'],
  [null, 'null'],
  [1e20, 'out_of_range'],
  [-1e300, 'out_of_range'],
  [long('99999999999999999999.9999999999999999995'), 'out_of_range'],
  ['1e20', 'out_of_range'],
  ['1e-19', 'out_of_range'],
  ['1.0000000000000000001', 'out_of_range'],
  ['1e9999', 'out_of_range'],
  ['1e-9999', 'out_of_range'],
  ['1e10000', 'not_a_number'],
  ['', 'not_a_number'],
  ['.', 'not_a_number'],
  [' 1', 'not_a_number'],
  ['1\n', 'not_a_number'],
  ['NaN', 'not_a_number'],
  ['Infinity', 'not_a_number'],
  ['0x10', 'not_a_number'],
  ['٣', 'not_a_number'],
  [`${'0'.repeat(100)}1`, 'not_a_number'],
  ['pro', 'not_a_number'],
  [true, 'not_a_number'],
  [{}, 'not_a_number'],
  [[1], 'not_a_number'],
])('%j is ignored: %s', (value, reason) => {
  expect(numberOf(value)).toBeNull();
  expect(numberIgnored(value)).toBe(reason);
});

it.each<[unknown, string]>([
  ['', ''],
  ['1.0', '1.0'],
  [1, '1'],
  [-0, '0'],
  [0.5, '0.5'],
  [1e21, '1000000000000000000000'],
  [1.5e-7, '0.00000015'],
  [long('1.50000000000000000000000'), '1.5'],
  [long('1e40'), `1${'0'.repeat(40)}`],
  [true, 'true'],
  [false, 'false'],
])('the text of %j is %j', (value, text) => {
  expect(textOf(value)).toBe(text);
  expect(dimensionOf(value)).toBe(text);
});

it.each<[unknown, string]>([
  [undefined, 'missing'],
  [null, 'null'],
  [{}, 'not_a_scalar'],
  [['a'], 'not_a_scalar'],
])('%j has no text: %s', (value, reason) => {
  expect(textOf(value)).toBeNull();
  expect(dimensionOf(value)).toBeNull();
  expect(textIgnored(value)).toBe(reason);
});

it.each<[string, boolean]>([
  ['x'.repeat(512), true],
  ['x'.repeat(513), false],
  ['😀'.repeat(512), true],
  ['😀'.repeat(513), false],
  [`${'x'.repeat(512)}😀`, false],
])('a dimension value of 512 characters is kept, a longer one is none', (text, kept) => {
  expect(dimensionOf(text)).toBe(kept ? text : null);
  expect(textOf(text)).toBe(text);
});
