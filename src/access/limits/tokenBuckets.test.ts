import { describe, expect, it, onTestFinished } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import type { SharedUsage } from './sharedUsage.ts';
import { TokenBuckets } from './tokenBuckets.ts';

function newBuckets(shared?: SharedUsage) {
  const clock = { now: 0 };
  const refused: string[] = [];
  const buckets = new TokenBuckets({ shared, now: () => clock.now, onRefused: (kind) => refused.push(kind) });
  onTestFinished(() => buckets.close());
  const take = (points: number, perSecond: number, tenantId = 'a') => {
    try {
      buckets.take([{ tenantId, kind: 'events', points, perSecond }]);
      return 'taken';
    } catch (error) {
      expect(error).toMatchObject({ code: 'too_many_requests' });
      return (error as TidemarkError).retryAfterSeconds;
    }
  };
  const left = (perSecond: number) => buckets.allowance('a', 'events', perSecond);
  return { buckets, clock, refused, take, left };
}

/** Adds up as Redis does, for any number of instances; `away` answers nothing. */
function newShared(): SharedUsage & { away: boolean } {
  const sums = new Map<string, number>();
  return {
    away: false,
    async add(key, points) {
      if (this.away) return null;
      sums.set(key, (sums.get(key) ?? 0) + points);
      return sums.get(key)!;
    },
    healthy: () => true,
    close: async () => {},
  };
}

describe('a bucket', () => {
  it('holds one second, and is refilled continuously, never beyond', () => {
    const { clock, take, left, refused } = newBuckets();
    expect(left(10)).toEqual({ remaining: 10, resetSeconds: 0 });
    expect(take(7, 10)).toBe('taken');
    expect(take(4, 10)).toBe(1);
    expect(left(10)).toEqual({ remaining: 3, resetSeconds: 1 });
    clock.now = 100;
    expect(take(4, 10)).toBe('taken');
    clock.now = 60_000;
    expect(left(10).remaining).toBe(10);
    expect(refused).toEqual(['events']);
  });

  it('gives more than it holds when it is full, and is then waited for', () => {
    const { clock, take } = newBuckets();
    expect(take(45, 10)).toBe('taken');
    expect(take(1, 10)).toBe(4);
    expect(take(1_000, 10)).toBe(5);
    clock.now = 3_599;
    expect(take(1, 10)).toBe(1);
    clock.now = 3_600;
    expect(take(1, 10)).toBe('taken');
  });

  it('follows a limit that changes, and knows none', () => {
    const { clock, take, left } = newBuckets();
    expect(take(1e9, 0)).toBe('taken');
    expect(take(100, 100)).toBe('taken');
    clock.now = 1_000;
    expect(left(10).remaining).toBe(10);
    expect(take(1, 10, 'b')).toBe('taken');
  });
});

it('claims are granted together or not at all', () => {
  const { buckets, left } = newBuckets();
  const claim = (kind: 'events' | 'requests', points: number, tenantId: string) => ({
    ...{ kind, points, tenantId },
    perSecond: 10,
  });
  const claims = [claim('events', 10, 'a'), claim('requests', 1, 'a'), claim('events', 10, 'b')];
  buckets.take([claim('events', 1, 'b')]);
  expect(() => buckets.take(claims)).toThrow(TidemarkError);
  expect(() => buckets.check(claims)).toThrow(TidemarkError);
  buckets.check(claims.slice(0, 2));
  expect(left(10).remaining).toBe(10);
});

describe('instances that share', () => {
  const pair = (shared: SharedUsage) => [newBuckets(shared), newBuckets(shared)] as const;
  const exchange = async (...all: ReturnType<typeof newBuckets>[]) => {
    for (const { buckets } of all) await buckets.exchange();
  };

  it('draw on one bucket', async () => {
    const [a, b] = pair(newShared());
    for (const one of [a, b]) expect(one.take(1, 100)).toBe('taken');
    await exchange(a, b, a, b);
    for (const { clock } of [a, b]) clock.now = 100;
    for (let i = 0; i < 6; i++) expect(a.take(10, 100)).toBe('taken');
    expect(b.take(1, 100)).toBe('taken');
    await exchange(a, b);
    expect(b.left(100).remaining).toBe(39);
    // What both took before they knew of each other is owed by both.
    expect(b.take(30, 100)).toBe('taken');
    expect(a.take(30, 100)).toBe('taken');
    await exchange(b, a);
    b.left(100);
    await exchange(b);
    expect(a.left(100).remaining).toBe(0);
    expect(b.left(100).remaining).toBe(0);
  });

  it('keep to the rate together over time', async () => {
    const [a, b] = pair(newShared());
    let taken = 0;
    for (let ms = 0; ms <= 10_000; ms += 10) {
      for (const one of [a, b]) {
        one.clock.now = ms;
        if (one.take(2, 100) === 'taken') taken += 2;
      }
      if (ms % 100 === 0) await exchange(a, b);
    }
    expect(taken).toBeGreaterThanOrEqual(1_000);
    expect(taken).toBeLessThanOrEqual(1_000 + 2 * 100 + 4 * 10);
  });

  it('are each on their own while the others cannot be reached, and forget what was long ago', async () => {
    const shared = newShared();
    const [a, b] = pair(shared);
    for (const one of [a, b]) one.take(1, 100);
    await exchange(a, b);
    shared.away = true;
    a.take(99, 100);
    await exchange(a);
    expect(b.take(99, 100)).toBe('taken');
    await exchange(b);
    shared.away = false;
    for (const { clock } of [a, b]) clock.now = 5_000;
    expect(a.take(100, 100)).toBe('taken');
    await exchange(a, b);
    expect(b.left(100).remaining).toBe(100);
  });
});
