import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import { decodeCursor, encodeCursor, type List, type PartKind, pageOf } from './paging.ts';

const PART: Record<PartKind, fc.Arbitrary<string | number>> = {
  text: fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0')),
  uuid: fc.uuid(),
  count: fc.nat(),
  ms: fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
  micros: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
};
const kinds = fc.array(fc.constantFrom(...(Object.keys(PART) as PartKind[])), { minLength: 1, maxLength: 5 });
const positioned = kinds.chain((key) =>
  fc.tuple(fc.constant(key), fc.tuple(...key.map((kind) => PART[kind]))),
);
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const refused = expect.objectContaining({ code: 'cursor_invalid' });

describe('a cursor', () => {
  it('gives back the position it was made of', () => {
    fc.assert(
      fc.property(fc.string(), positioned, (name, [key, position]) => {
        const list: List = { name, key };
        const cursor = encodeCursor(list, position);
        expect(cursor).toMatch(/^[\w-]+$/);
        expect(decodeCursor(cursor, list)).toEqual(position);
      }),
    );
  });

  it('is refused by every other list', () => {
    const list: List = { name: 'a', key: ['text'] };
    const cursor = encodeCursor(list, ['x']);
    expect(() => decodeCursor(cursor, { ...list, name: 'b' })).toThrow(refused);
    for (const key of [[], ['text', 'text'], ['uuid'], ['ms']] as PartKind[][]) {
      expect(() => decodeCursor(cursor, { ...list, key })).toThrow(refused);
    }
  });

  it('is refused, and nothing worse, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.base64String(), fc.jsonValue().map(encode)),
        (cursor) => {
          try {
            decodeCursor(cursor, { name: 'a', key: ['ms', 'text'] });
          } catch (error) {
            expect(error).toBeInstanceOf(TidemarkError);
            expect(error).toEqual(refused);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('holds nothing that PostgreSQL could not compare with', () => {
    const bad: [PartKind, unknown[]][] = [
      ['text', [5, null, ['x'], 'a\0', '\ud800']],
      ['uuid', ['', 'x', '019AA3F2-7C1E-7B3A-9D55-3F1C2B4A5E60', '019aa3f27c1e7b3a9d553f1c2b4a5e60', 5]],
      ['ms', ['5', null, 1.5, 1e300, 8.64e15, 253_402_300_800_000, -62_135_596_800_001]],
      ['micros', ['5', null, 0.5, 9e18, 253_402_300_800_000_000]],
    ];
    for (const [kind, values] of bad) {
      for (const value of values) {
        const cursor = encode(['a', value]);
        expect(() => decodeCursor(cursor, { name: 'a', key: [kind] })).toThrow(refused);
      }
    }
  });
});

describe('pageOf', () => {
  const list: List = { name: 'numbers', key: ['ms'] };

  it('walks through all rows once', () => {
    fc.assert(
      fc.property(fc.nat({ max: 30 }), fc.integer({ min: 1, max: 10 }), (count, limit) => {
        const found: number[] = [];
        let cursor: string | null = null;
        do {
          const after: number = cursor === null ? 0 : Number(decodeCursor(cursor, list)[0]);
          const rows = Array.from({ length: count }, (_, i) => i + 1)
            .filter((row) => row > after)
            .slice(0, limit + 1);
          const page: { data: number[]; nextCursor: string | null } = pageOf(rows, limit, list, (row) => [
            row,
          ]);
          expect(page.data.length).toBe(Math.min(limit, count - found.length));
          found.push(...page.data);
          cursor = page.nextCursor;
        } while (cursor !== null);
        expect(found).toEqual(Array.from({ length: count }, (_, i) => i + 1));
      }),
    );
  });
});
