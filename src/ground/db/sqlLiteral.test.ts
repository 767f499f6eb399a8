import fc from 'fast-check';
import pg from 'pg';
import { expect, test } from 'vitest';
import { sqlLiteral } from './sqlLiteral.ts';

test.each([
  ['', `''`],
  [`it's`, `'it''s'`],
  [String.raw`a\b'`, String.raw` E'a\\b'''`],
])('%j', (text, literal) => expect(sqlLiteral(text)).toBe(literal));

test('is what pg makes of it', () => {
  const text = fc.string({ unit: fc.constantFrom("'", '\\', '"', 'a', '\n', 'ä', '😀', '$') });
  fc.assert(
    fc.property(text, (value) => {
      expect(sqlLiteral(value)).toBe(pg.escapeLiteral(value));
    }),
  );
});
