import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  holdsLongNumber,
  JsonNumber,
  jsonNumber,
  mayHoldFarNumber,
  numberText,
  parseJson,
  stringifyJson,
  withTextsForNumbers,
} from './json.ts';

/** Numbers as JSON has them, with an exact value: a whole number and a power of ten. */
const token = fc
  .record({
    sign: fc.constantFrom('', '-'),
    whole: fc.oneof(fc.constant('0'), fc.stringMatching(/^[1-9]\d{0,24}$/)),
    fraction: fc.option(fc.stringMatching(/^\d{1,24}$/)),
    exponent: fc.option(
      fc.record({
        e: fc.constantFrom('e', 'E'),
        sign: fc.constantFrom('', '+', '-'),
        digits: fc.stringMatching(/^\d{1,3}$/),
      }),
    ),
  })
  .map(({ sign, whole, fraction, exponent }) => {
    const text = `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `${exponent.e}${exponent.sign}${exponent.digits}`}`;
    const power = (exponent === null ? 0 : Number(exponent.sign + exponent.digits)) - (fraction?.length ?? 0);
    return { text, digits: BigInt(sign + whole + (fraction ?? '')), power };
  });

/** Whether digits × 10^power is the number that the text stands for. */
function isSame(text: string, digits: bigint, power: number): boolean {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)!;
  const other = BigInt(`${match[1]}${match[2]}${match[3] ?? ''}`);
  const otherPower = Number(match[4] ?? 0) - (match[3]?.length ?? 0);
  const least = Math.min(power, otherPower);
  return digits * 10n ** BigInt(power - least) === other * 10n ** BigInt(otherPower - least);
}

describe('a number', () => {
  it('has the digits that it came with, or is the double that stands for it', () => {
    let exact = 0;
    fc.assert(
      fc.property(token, ({ text, digits, power }) => {
        const parsed = parseJson(`{"a":[${text}],"b":"${text}"}`) as { a: unknown[]; b: unknown };
        const [value] = parsed.a;
        expect(parsed.b).toBe(text);
        if (value instanceof JsonNumber) {
          exact++;
          expect(value.toString()).toBe(text);
          expect(isSame(String(Number(text)).replace('Infinity', '7e999'), digits, power)).toBe(false);
        } else {
          expect(value).toBe(Number(text));
          expect(isSame(String(value), digits, power)).toBe(true);
        }
        expect(isSame(stringifyJson(value), digits, power)).toBe(true);
        expect(String(jsonNumber(text))).toBe(String(value));
      }),
      { numRuns: 3_000 },
    );
    expect(exact).toBeGreaterThan(300);
  });

  it.each([
    ['1234567890123456789', false],
    ['9007199254740993', false],
    ['9007199254740992', true],
    ['12345678901234567890', false],
    ['0.1000000000000000000001', false],
    ['0.1000000000000000', true],
    ['1.00000000000000000000000000', true],
    ['1000000000000000000000', true],
    ['0.30000000000000004', true],
    ['1e400', false],
    ['-1E+400', false],
    ['1e-400', false],
    ['1.5e308', true],
    ['2.2250738585072014e-308', true],
    ['1.2345678901234567e-320', false],
    ['0e999999999999999999999', true],
    ['1e999999999999999999999', false],
    ['-0', true],
    ['-0.0e-5', true],
  ])('%s is held by a double: %s', (text, held) => {
    expect(parseJson(text)).toEqual(held ? Number(text) : expect.any(JsonNumber));
    expect(stringifyJson(parseJson(`[${text}]`))).toBe(held ? JSON.stringify([Number(text)]) : `[${text}]`);
  });
});

describe('a look at a body', () => {
  const noise = fc.string({ maxLength: 40 });

  it('finds each number with more digits than a double holds, wherever it stands', () => {
    let found = 0;
    fc.assert(
      fc.property(noise, token, fc.constantFrom('', ' ', '\n\t'), noise, (before, { text }, space, after) => {
        const json = `{"k":${JSON.stringify(before)},"n":${space}${text}${space},"l":[${text}${space}],"m":{"x":${text}},"e":${JSON.stringify(after)}}`;
        const value = jsonNumber(text);
        const seen = holdsLongNumber(Buffer.from(json)) || (/e/i.test(text) && mayHoldFarNumber(json));
        if (value instanceof JsonNumber) {
          found++;
          expect([json, seen]).toEqual([json, true]);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(found).toBeGreaterThan(300);
  });

  it.each([
    '{"a":"1234567890123456789"}',
    '{"1234567890123456789":1}',
    '{"a":"x,1234567890123456789x"}',
    '{"a":0.30000000000000004,"b":1764232620123456,"c":[1.0000000000000000000]}',
    '{"a":"2026-11-27T17:37:00.123456789Z","b":"019aa3f2-7c1e-7b3a-9d55-123456789012"}',
  ])('sees none in %s', (json) => {
    expect(holdsLongNumber(Buffer.from(json))).toBe(false);
  });
});

describe('a document', () => {
  it('is otherwise what JSON.parse makes of it', () => {
    const json =
      '{"a":{"__proto__":{"n":1234567890123456789,"m":1}},"b":"\\"1234567890123456789\\\\","b":2,"b":[null,true,"é\\ud83d\\ude00"],"":1e400}';
    const parsed = parseJson(json) as Record<string, Record<string, unknown>>;
    expect(Object.keys(parsed)).toEqual(['a', 'b', '']);
    expect(Object.getPrototypeOf(parsed.a)).toBe(Object.prototype);
    expect(Object.keys(parsed.a!)).toEqual(['__proto__']);
    expect(parsed.b).toEqual([null, true, 'é😀']);
    expect(stringifyJson(parsed)).toBe(
      '{"a":{"__proto__":{"n":1234567890123456789,"m":1}},"b":[null,true,"é😀"],"":1e400}',
    );
  });

  it('gives back any value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.stringify([value, 0]).replace(/0]$/, '1234567890123456789]');
        expect(stringifyJson(parseJson(json))).toBe(json);
      }),
    );
  });

  it.each([
    '{"a":12345678901234567',
    '{"a":12345678901234567,"b":"',
    '[12345678901234567,]',
    '012345678901234567',
  ])('that is none has the fault that JSON.parse finds: %s', (json) => {
    let message = '';
    try {
      JSON.parse(json);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(() => parseJson(json)).toThrow(message);
    expect(() => withTextsForNumbers(json)).toThrow(message);
  });

  it('of any depth is parsed', () => {
    const deep = `${'['.repeat(100_000)}1234567890123456789${']'.repeat(100_000)}`;
    expect(parseJson(deep)).toBeInstanceOf(Array);
  });

  it('has its long numbers as texts where those mean the same', () => {
    const { threshold, ...others } = JSON.parse(
      withTextsForNumbers('{"threshold":12345678901234567890, "n":1,"s":"1e999"}'),
    );
    expect(numberText(threshold)).toBe('12345678901234567890');
    expect(others).toEqual({ n: 1, s: '1e999' });
    expect(numberText('12345678901234567890')).toBeUndefined();
  });
});
