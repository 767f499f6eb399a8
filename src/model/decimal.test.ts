import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDecimal } from './decimal.ts';

/** A decimal as a whole number of 10^-18, or null when it is finer than that. */
function exact(sign: string, digits: string, exponent: number): bigint | null {
  const scaled = exponent + 18;
  const magnitude = BigInt(digits);
  const value =
    scaled >= 0 ? magnitude * 10n ** BigInt(scaled) : dividedExactly(magnitude, 10n ** BigInt(-scaled));
  return value === null ? null : sign === '-' ? -value : value;
}

function dividedExactly(value: bigint, by: bigint): bigint | null {
  return value % by === 0n ? value / by : null;
}

/** numeric(38,18): up to 20 digits before the point. */
const BOUND = 10n ** 38n;

function plain(value: bigint): string {
  const magnitude = value < 0n ? -value : value;
  const whole = magnitude / 10n ** 18n;
  const fraction = String(magnitude % 10n ** 18n)
    .padStart(18, '0')
    .replace(/0+$/, '');
  return `${value < 0n ? '-' : ''}${whole}${fraction && `.${fraction}`}`;
}

/** How far a decimal is from the number it was made of, both exactly: in units of 10^-24, rounded down. */
function errorOf(decimal: string, value: number): bigint {
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal)!;
  const scaled = BigInt(`${sign}${whole}${fraction.padEnd(24, '0')}`);
  let [numerator, denominator] = [value, 1n];
  while (!Number.isInteger(numerator)) {
    numerator *= 2; // exact, as long as it is below 2^53
    denominator *= 2n;
  }
  const error = scaled * denominator - BigInt(numerator) * 10n ** 24n;
  return (error < 0n ? -error : error) / denominator;
}

describe('parseDecimal', () => {
  it('is exact for every decimal it takes, and refuses every other', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('', '+', '-'),
        fc.stringMatching(/^\d{0,24}$/),
        fc.option(fc.stringMatching(/^\d{0,22}$/), { nil: undefined }),
        fc.option(fc.integer({ min: -40, max: 40 }), { nil: undefined }),
        (sign, whole, fraction, exponent) => {
          fc.pre(whole !== '' || (fraction ?? '') !== '');
          const text = `${sign}${whole}${fraction === undefined ? '' : `.${fraction}`}${exponent === undefined ? '' : `e${exponent}`}`;
          const value = exact(sign, whole + (fraction ?? ''), (exponent ?? 0) - (fraction ?? '').length);
          const fits = value !== null && value < BOUND && value > -BOUND;
          expect([text, parseDecimal(text)]).toEqual([text, fits ? plain(value) : null]);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('gives what it takes for itself', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -BOUND + 1n, max: BOUND - 1n }), (value) => {
        expect(parseDecimal(plain(value))).toBe(plain(value));
      }),
    );
  });

  it('takes a number for the shortest decimal that stands for it, rounded to 18 digits after the point', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const decimal = parseDecimal(value);
        const shortest = parseDecimal(String(value));
        if (shortest !== null) {
          expect(decimal).toBe(shortest);
          expect(Number(decimal)).toBe(value === 0 ? 0 : value);
        } else if (Math.abs(value) < 1) {
          expect(errorOf(decimal!, value)).toBeLessThanOrEqual(500_001n);
        } else {
          expect(decimal).toBeNull();
        }
      }),
      {
        examples: [
          ...[0.1, 1e-18, 5e-324, 1e21, 99_999_999_999_999_980_000, -0].map((value) => [value] as [number]),
          [0.1 * 0.2 * 1e-9],
          [-0.005_495_449_644_731_289_5],
          [0.012_345_678_901_234_568],
        ],
      },
    );
  });

  it.each(['', ' ', '.', '+', '-', 'e1', '1e', '1e+', '1.2.3', '1,2', '0x1', 'NaN', 'Infinity', '1n', '١'])(
    'refuses "%s"',
    (text) => expect(parseDecimal(text)).toBeNull(),
  );

  it('refuses what is no finite number, and texts without end', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(parseDecimal(value)).toBeNull();
    }
    expect(parseDecimal('0'.repeat(101))).toBeNull();
    expect(parseDecimal('0'.repeat(100))).toBe('0');
    expect(parseDecimal('0e9999')).toBe('0');
    expect(parseDecimal('1e-9999')).toBeNull();
  });
});

it('reads numbers of ten thousand zeros at once: three hundred of them within the time of a test', () => {
  for (let i = 0; i < 300; i++) expect(parseDecimal(`${'0'.repeat(90)}1e-9999`)).toBeNull();
});
