import { describe, expect, it } from 'vitest';
import { RecentLatencies } from './recentLatencies.ts';

describe('recent latencies', () => {
  it('are within 2.5 % of the percentiles by nearest rank', () => {
    const recent = new RecentLatencies(3);
    const all: number[] = [];
    for (let i = 1; i <= 2_000; i++) {
      const ms = 0.06 * 1.006 ** i; // from 0.06 ms to 9 s
      all.push(ms);
      recent.record(ms);
      if (i % 800 === 0) recent.turn();
    }
    const ranks = [0.01, 0.5, 0.9, 0.99, 1];
    for (const [i, found] of recent.percentiles(...ranks)!.entries()) {
      const exact = all[Math.ceil(ranks[i]! * all.length) - 1]!;
      expect(Math.abs(found / exact - 1)).toBeLessThan(0.025);
    }
  });

  it('are those of the last turns, and none where nothing was', () => {
    const recent = new RecentLatencies(2);
    expect(recent.percentiles(0.5)).toBeNull();
    recent.record(100);
    recent.turn();
    expect(recent.percentiles(0.5)![0]).toBeCloseTo(100, -1);
    recent.record(10);
    recent.turn();
    expect(recent.percentiles(0.5, 0.99)!.map(Math.round)).toEqual([10, 10]);
    recent.turn();
    expect(recent.percentiles(0.5)).toBeNull();
  });

  it('take whatever a clock says', () => {
    const recent = new RecentLatencies(2);
    for (const ms of [0, -1, 0.01, 1e12]) recent.record(ms);
    const [least, most] = recent.percentiles(0.5, 1)!;
    expect([least, most! > 3_600_000]).toEqual([0.05, true]);
  });
});
