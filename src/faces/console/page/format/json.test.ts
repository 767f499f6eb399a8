import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseExact, writeJson } from './json.ts';

it('keeps numbers as they are written, wherever they stand', () => {
  const text =
    '{"a":12.50,"b":[1e400,-0,12345678901234567890,{"c":1E+2}],"-1.50":"2.50","d":"x\\" 3.50 \\\\","e":7,"f":null,"g":""}';
  expect(writeJson(parseExact(text), 0)).toBe(text);
  expect(parseExact('[7, 0.1, -3]')).toEqual([7, 0.1, -3]);
});

it('reads and writes any other document as JSON does', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(writeJson(parseExact(text), indent)).toBe(text);
    }),
  );
});

it('refuses what is no JSON', () => {
  for (const text of ['{', '{"a":01}', '[1.]', '[-]', '"', '{"a":1 2}']) {
    expect(() => parseExact(text), text).toThrow(SyntaxError);
  }
});
