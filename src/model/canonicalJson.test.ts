import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from './canonicalJson.ts';
import { parseJson } from './json.ts';

const canonical = (json: string) => canonicalJson(parseJson(json));

describe('RFC 8785', () => {
  test('the sample of §3.2.2', () => {
    const sample = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    expect(canonical(sample.replace('333333333.33333329', '333333333.3333333'))).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        String.raw`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  test('the order of §3.2.3: by UTF-16 units', () => {
    const names = ['€', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', 'ö'];
    const object = Object.fromEntries(names.map((name, i) => [name, i]));
    expect(Object.keys(JSON.parse(canonicalJson(object)))).toHaveLength(7);
    expect(canonicalJson(object)).toBe('{"\\r":1,"1":3,"\u0080":5,"ö":6,"€":0,"\u{1f600}":4,"\ufb33":2}');
  });

  test.each([
    ['0', '0'],
    ['-0', '0'],
    ['5e-324', '5e-324'],
    ['-5e-324', '-5e-324'],
    ['1.7976931348623157e308', '1.7976931348623157e+308'],
    ['9007199254740992', '9007199254740992'],
    ['295147905179352830000', '295147905179352830000'],
    ['1e23', '1e+23'],
    ['999999999999999900000', '999999999999999900000'],
    ['1e21', '1e+21'],
    ['333333333.3333332', '333333333.3333332'],
    ['0.000001', '0.000001'],
    ['1e-7', '1e-7'],
  ])('of appendix B: %s is %s', (json, text) => {
    expect(canonical(json)).toBe(text);
  });
});

test.each([
  ['1234567890123456789', '1234567890123456789'],
  ['1234567890123456789.50', '1234567890123456789.5'],
  ['12345678901234567890e1', '123456789012345678900'],
  ['-0.10000000000000000001', '-0.10000000000000000001'],
  ['1e400', `1${'0'.repeat(400)}`],
])('a number that no double holds keeps its digits: %s', (json, text) => {
  expect(canonical(json)).toBe(text);
});

test('of an array, an object and a name that means something else elsewhere', () => {
  expect(canonical('{"__proto__": {"b": [], "a": {}}, "": "\\ud83d\\ude00"}')).toBe(
    '{"":"\u{1f600}","__proto__":{"a":{},"b":[]}}',
  );
});

test('whoever writes a value, however, its text is one, and is of no other value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (value, other) => {
      const text = canonicalJson(value);
      const mixed = (inner: unknown): unknown => {
        if (Array.isArray(inner)) return inner.map(mixed);
        if (typeof inner !== 'object' || inner === null) return inner;
        return Object.fromEntries(
          Object.entries(inner)
            .reverse()
            .map(([name, of]) => [name, mixed(of)]),
        );
      };
      expect(canonical(JSON.stringify(mixed(value), null, 2))).toBe(text);
      expect(canonical(text)).toBe(text);
      const same = JSON.stringify(JSON.parse(text)) === JSON.stringify(JSON.parse(canonicalJson(other)));
      expect(canonicalJson(other) === text).toBe(same);
    }),
  );
});
