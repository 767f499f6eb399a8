import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LATENCY_BOUNDS_MS, LATENCY_COLUMNS, latencyInHistogram } from './latencyHistogram.ts';

const latencies = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 200_000 }),
    fc.constantFrom(0, ...LATENCY_BOUNDS_MS),
    fc.double({ min: 0, max: 100, noNaN: true }),
  ),
  { minLength: 1, maxLength: 50 },
);
const quantile = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0.5, 0.95, 0.99, 1));

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const rankOf = (values: number[], at: number) => Math.max(1, Math.ceil(at * values.length));

/** The histogram as the rollups keep it. */
function estimate(values: number[], at: number): number {
  const cumulative = LATENCY_BOUNDS_MS.map((bound) => values.filter((value) => value <= bound).length);
  const totals = { count: values.length, sumMs: sum(values), maxMs: Math.max(...values) };
  return latencyInHistogram(rankOf(values, at), cumulative, totals);
}

describe('a latency estimated in the histogram', () => {
  it('lies in the bucket of the true percentile, and not above the maximum', () => {
    fc.assert(
      fc.property(latencies, quantile, (values, at) => {
        const sorted = values.toSorted((a, b) => a - b);
        const truth = sorted[rankOf(values, at) - 1]!;
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
        expect(estimate(values, Math.min(a, b))).toBeLessThanOrEqual(
          estimate(values, Math.max(a, b)) + 0.000_501,
        );
        expect(estimate(values, 1)).toBe(Math.max(...values));
      }),
    );
  });

  it('is interpolated within a bucket', () => {
    const among = (count: number, bound: number) =>
      LATENCY_BOUNDS_MS.map((upTo) => (upTo >= bound ? count : 0));
    const totals = (maxMs: number) => ({ count: 10, sumMs: 10 * maxMs, maxMs });
    expect(latencyInHistogram(5, among(10, 100), totals(100))).toBe(75);
    expect(latencyInHistogram(5, among(10, 100), totals(80))).toBe(65);
    expect(latencyInHistogram(5, among(0, 5), totals(300_000))).toBe(210_000);
  });

  it('is not more than the sum of all allows', () => {
    const beyond = LATENCY_BOUNDS_MS.map(() => 0);
    const totals = { count: 100, sumMs: 99 * 130_000 + 1e9, maxMs: 1e9 };
    expect(latencyInHistogram(50, beyond, totals)).toBeLessThan(260_000);
    expect(latencyInHistogram(100, beyond, totals)).toBe(1e9);
  });
});

it('the bounds are those that the migrations have made columns for', async () => {
  const migrations = new URL('../../../migrations/support/rollups.js', import.meta.url).href;
  expect(LATENCY_BOUNDS_MS).toEqual((await import(migrations)).LATENCY_BOUNDS_MS);
  expect(LATENCY_COLUMNS[0]).toBe('latency_le_5');
  expect(LATENCY_COLUMNS.at(-1)).toBe('latency_le_120000');
});
