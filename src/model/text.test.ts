import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findUnstorableText, isStorableText, mayHoldUnstorableText } from './text.ts';

/** Any sequence of UTF-16 code units, NUL and lone surrogates among them. */
const codeUnits = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0x5c, 0x75, 0x30),
    ),
    { maxLength: 8 },
  )
  .map((units) => String.fromCharCode(...units));
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    codeUnits,
    fc.integer(),
    fc.constantFrom(null, true),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(codeUnits, tie('value'), { maxKeys: 3 }),
  ),
})).value;

describe('isStorableText', () => {
  it('holds for what survives UTF-8 and has no NUL', () => {
    fc.assert(
      fc.property(codeUnits, (text) => {
        const survives = Buffer.from(text).toString() === text && !text.includes('\0');
        expect(isStorableText(text)).toBe(survives);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('findUnstorableText', () => {
  it('leads to the text, or to the object with the key', () => {
    expect(findUnstorableText({ a: ['x', { 'b/c': 'y\0' }] })).toEqual(['a', '1', 'b/c']);
    expect(findUnstorableText({ a: { '\ud800': 1 } })).toEqual(['a']);
    expect(findUnstorableText({ '\0': 1 })).toEqual([]);
    expect(findUnstorableText('\udc00')).toEqual([]);
    expect(findUnstorableText({ a: [null, 1, true, 'ok', '\u{1f600}', '\\u0000'] })).toBeNull();
    expect(findUnstorableText(JSON.parse('{"__proto__":{"x":"\\u0000"}}'))).toEqual(['__proto__', 'x']);
  });
});

describe('mayHoldUnstorableText', () => {
  it('never passes over a document that holds some', () => {
    fc.assert(
      fc.property(json, (value) => {
        const document = JSON.stringify(value);
        if (findUnstorableText(value)) expect(mayHoldUnstorableText(document)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('knows every spelling of the escapes', () => {
    for (const escaped of ['\\u0000', '\\ud800', '\\uD800', '\\udFfF', '\\\\\\u0000']) {
      expect([escaped, mayHoldUnstorableText(`"${escaped}"`)]).toEqual([escaped, true]);
    }
    for (const harmless of ['\\u0001', '\\u00e9', '\\ud7ff', 'u0000', '\\n']) {
      expect([harmless, mayHoldUnstorableText(`"${harmless}"`)]).toEqual([harmless, false]);
    }
  });
});
