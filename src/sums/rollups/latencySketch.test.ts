import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { latencyAt, readSketch } from './latencySketch.ts';

/** The class of a latency, computed otherwise than by the database. */
function classOf(ms: number): number {
  if (ms === 0) return -161;
  let steps = Math.round(Math.log2(ms) * 20);
  while (2 ** (steps / 20) > ms) steps--;
  while (2 ** ((steps + 1) / 20) <= ms) steps++;
  return steps >= 0 ? steps - 160 : Math.max(steps, -1200) - 161;
}

/** As numeric_send has the sum: its first and last digits are not 0. */
function sent(classes: number[]): Buffer {
  const lowest = Math.min(...classes);
  let total = 0n;
  for (const at of classes) total += 10n ** (12n * BigInt(at - lowest));
  const decimal = total.toString();
  const padded = decimal.padStart(Math.ceil(decimal.length / 4) * 4, '0');
  const digits = padded.match(/.{4}/g)!.map(Number);
  const weight = 3 * lowest + digits.length - 1;
  while (digits.at(-1) === 0) digits.pop();
  const buffer = Buffer.alloc(8 + 2 * digits.length);
  buffer.writeUInt16BE(digits.length, 0);
  buffer.writeInt16BE(weight, 2);
  for (const [i, digit] of digits.entries()) buffer.writeUInt16BE(digit, 8 + 2 * i);
  return buffer;
}

const latency = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 1, max: 2_000 }),
  fc.double({ min: 1e-12, max: 1e9, noNaN: true }),
  fc.double({ min: -12, max: 9, noNaN: true }).map((exponent) => 10 ** exponent),
);

describe('readSketch', () => {
  it('counts what was added, and each latency is within 1.8 % of its own', () => {
    fc.assert(
      fc.property(fc.array(latency, { minLength: 1, maxLength: 60 }), (values) => {
        const sketch = readSketch(sent(values.map(classOf)));
        expect(sketch.count).toBe(values.length);
        for (const [i, value] of values.toSorted((a, b) => a - b).entries()) {
          const found = latencyAt(sketch, i + 1);
          expect(Math.abs(found - value)).toBeLessThanOrEqual(0.018 * value);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('has room for more than ten thousand millions in a class, and for as many beside it', () => {
    const many = sent([0, 1]);
    // 10^12 - 1 twice: digits of 9,999
    const full = Buffer.alloc(8 + 2 * 6);
    full.writeUInt16BE(6, 0);
    full.writeInt16BE(5, 2);
    for (let i = 0; i < 6; i++) full.writeUInt16BE(9_999, 8 + 2 * i);
    expect(readSketch(many).classes.map(({ count }) => count)).toEqual([1, 1]);
    expect(readSketch(full).classes.map(({ count }) => count)).toEqual([10 ** 12 - 1, 10 ** 12 - 1]);
  });

  it('of nothing counts nothing', () => {
    expect(readSketch(null)).toEqual({ count: 0, classes: [] });
    expect(readSketch(Buffer.alloc(8))).toEqual({ count: 0, classes: [] });
  });
});
