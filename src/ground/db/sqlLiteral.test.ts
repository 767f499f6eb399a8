import fc from 'fast-check';
import pg from 'pg';
import { expect, test } from 'vitest';
import { sqlLiteral, textArray } from './sqlLiteral.ts';

const text = fc.string({
  unit: fc.constantFrom("'", '\\', '"', ',', '{', '}', 'a', ' ', '\n', 'ä', '😀', '$'),
});
const TEXT_ARRAY = 1_009; // of pg_type

test.each([
  ['', `''`],
  [`it's`, `'it''s'`],
  [String.raw`a\b'`, String.raw` E'a\\b'''`],
])('%j', (value, literal) => expect(sqlLiteral(value)).toBe(literal));

test('of any text it is what pg makes of it', () => {
  fc.assert(
    fc.property(text, (value) => {
      expect(sqlLiteral(value)).toBe(pg.escapeLiteral(value));
    }),
  );
});

test('arrays', () => {
  expect(textArray([])).toBe(`'{}'`);
  expect(textArray(['a', `it's`, 'NULL'])).toBe(`'{"a","it''s","NULL"}'`);
  expect(textArray(['"', '\\'])).toBe(String.raw` E'{"\\"","\\\\"}'`);
});

test('an array of any texts is read back', () => {
  const parse = pg.types.getTypeParser(TEXT_ARRAY as number) as (array: string) => string[];
  const unquoted = (literal: string) =>
    literal.startsWith(' E')
      ? literal.slice(3, -1).replaceAll("''", "'").replaceAll('\\\\', '\\')
      : literal.slice(1, -1).replaceAll("''", "'");
  fc.assert(
    fc.property(fc.array(text), (texts) => {
      expect(parse(unquoted(textArray(texts)))).toEqual(texts);
    }),
  );
});
