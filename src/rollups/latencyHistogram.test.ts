import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LATENCY_BOUNDS_MS, LATENCY_COLUMNS, percentile } from './latencyHistogram.ts';

const latencies = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 200_000 }),
    fc.constantFrom(0, ...LATENCY_BOUNDS_MS),
    fc.double({ min: 0, max: 100, noNaN: true }),
  ),
  { minLength: 1, maxLength: 50 },
);
const quantile = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0.5, 0.95, 0.99, 1));

/** The histogram as the rollups keep it. */
function estimate(values: number[], at: number): number {
  const cumulative = LATENCY_BOUNDS_MS.map((bound) => values.filter((value) => value <= bound).length);
  return percentile(at, cumulative, values.length, Math.max(...values))!;
}

describe('percentile', () => {
  it('lies in the bucket of the true percentile, and not above the maximum', () => {
    fc.assert(
      fc.property(latencies, quantile, (values, at) => {
        const sorted = values.toSorted((a, b) => a - b);
        const truth = sorted[Math.max(0, Math.ceil(at * values.length) - 1)]!;
        const upper = LATENCY_BOUNDS_MS.find((bound) => truth <= bound) ?? Number.POSITIVE_INFINITY;
        const lower = LATENCY_BOUNDS_MS.findLast((bound) => bound < truth) ?? 0;
        const value = estimate(values, at);
        const rounding = 0.000_501;
        expect(value).toBeGreaterThanOrEqual(Math.min(lower, sorted.at(-1)!) - rounding);
        expect(value).toBeLessThanOrEqual(Math.min(upper, sorted.at(-1)!) + rounding);
      }),
      { numRuns: 1_000 },
    );
  });

  it('grows with the quantile, up to the maximum', () => {
    fc.assert(
      fc.property(latencies, quantile, quantile, (values, a, b) => {
        expect(estimate(values, Math.min(a, b))).toBeLessThanOrEqual(estimate(values, Math.max(a, b)));
        expect(estimate(values, 1)).toBeCloseTo(Math.max(...values), 2);
      }),
    );
  });

  it('interpolates within a bucket', () => {
    const among = (count: number, bound: number) =>
      LATENCY_BOUNDS_MS.map((upTo) => (upTo >= bound ? count : 0));
    expect(percentile(0.5, among(10, 100), 10, 100)).toBe(75);
    expect(percentile(0.5, among(10, 100), 10, 80)).toBe(65);
    expect(percentile(0.5, among(0, 5), 10, 300_000)).toBe(210_000);
  });

  it('of nothing is nothing', () => {
    const none = LATENCY_BOUNDS_MS.map(() => 0);
    expect(percentile(0.5, none, 0, null)).toBeNull();
    expect(percentile(0.5, none, 0, 5)).toBeNull();
  });
});

it('the bounds are those that the migrations have made columns for', async () => {
  const migrations = new URL('../../migrations/support/rollups.js', import.meta.url).href;
  expect(LATENCY_BOUNDS_MS).toEqual((await import(migrations)).LATENCY_BOUNDS_MS);
  expect(LATENCY_COLUMNS[0]).toBe('latency_le_5');
  expect(LATENCY_COLUMNS.at(-1)).toBe('latency_le_120000');
});
