import { describe, expect, it, test } from 'vitest';
import { RefreshDensity } from './refreshDensity.ts';
import { type LateBucket, refreshRanges } from './refreshRanges.ts';

const WINDOW = 30_000;
const MINUTE = 60_000;
const DAY = 86_400_000;
const free = () => 0;
const every = (stepMs: number, count: number, rows = 1): LateBucket[] =>
  Array.from({ length: count }, (_, i) => ({ start: i * stepMs, rows }));
const covers = (ranges: { from: number; to: number }[], { start }: LateBucket) =>
  ranges.some(({ from, to }) => from <= start && start + WINDOW <= to);

describe('ranges of late buckets', () => {
  it('are bridged where nothing lies between, and reach no further than the buckets', () => {
    expect(refreshRanges(every(10 * MINUTE, 100), WINDOW, free)).toEqual([
      { from: 0, to: 99 * 10 * MINUTE + WINDOW },
    ]);
    expect(refreshRanges([{ start: 5 * WINDOW, rows: 1 }], WINDOW, free)).toEqual([
      { from: 5 * WINDOW, to: 6 * WINDOW },
    ]);
    expect(refreshRanges([], WINDOW, free)).toEqual([]);
  });

  it('are not bridged where more lies between than a call costs', () => {
    const perMs = 4_000 / (9 * MINUTE); // a gap of nine minutes costs what a call does
    const work = (from: number, to: number) => (to - from) * perMs;
    expect(refreshRanges(every(10 * MINUTE, 10), WINDOW, work)).toHaveLength(10);
    expect(refreshRanges(every(9 * MINUTE, 10), WINDOW, work)).toHaveLength(1);
    // Neighbours are joined whatever they cost.
    expect(refreshRanges(every(WINDOW, 10), WINDOW, work)).toHaveLength(1);
  });

  it('of many rows are cut, and each bucket is in one of them', () => {
    const buckets = every(WINDOW, 2_000, 500);
    const ranges = refreshRanges(buckets, WINDOW, free);
    expect(ranges.length).toBeGreaterThan(50);
    for (const { from, to } of ranges) {
      const rows = ((to - from) / WINDOW) * 500;
      expect(rows * 45).toBeLessThanOrEqual(500_000);
    }
    expect(buckets.every((bucket) => covers(ranges, bucket))).toBe(true);
    expect(ranges.every(({ from }, i) => i === 0 || from === ranges[i - 1]!.to)).toBe(true);
  });

  it('hold at least a bucket, however much it is', () => {
    expect(refreshRanges(every(WINDOW, 3, 1_000_000), WINDOW, free)).toHaveLength(3);
    expect(refreshRanges(every(WINDOW, 3), WINDOW, () => 1e9)).toHaveLength(3);
  });
});

test('the work of a range is a share of that of each chunk it touches', () => {
  const density = new RefreshDensity([
    { from: 0, to: DAY, work: 1 },
    { from: DAY, to: 2 * DAY, work: 10 },
  ]);
  expect(density.work(0, DAY)).toBe(DAY);
  expect(density.work(DAY - 1_000, DAY + 1_000)).toBe(1_000 + 10_000);
  expect(density.work(5 * DAY, 6 * DAY)).toBe(0);
});
