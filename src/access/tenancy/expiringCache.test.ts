import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ExpiringCache } from './expiringCache.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'Date'] }));
afterEach(() => void vi.useRealTimers());

it('forgets after its time, whatever happens to the clock on the wall', () => {
  const cache = new ExpiringCache<number>(1_000);
  cache.set('a', 1);
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(999);
  expect(cache.get('a')).toBe(1);
  vi.advanceTimersByTime(1);
  expect(cache.get('a')).toBeUndefined();
});

it('counts from when the question was put', () => {
  const cache = new ExpiringCache<number>(1_000);
  const asked = performance.now();
  vi.advanceTimersByTime(600);
  cache.set('a', 1, asked);
  vi.advanceTimersByTime(400);
  expect(cache.get('a')).toBeUndefined();
});

it('holds no more than its capacity, and drops what was set first', () => {
  const cache = new ExpiringCache<number>(1_000, 2);
  cache.set('a', 1);
  cache.set('b', 2);
  cache.set('a', 3);
  cache.set('c', 4);
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([3, undefined, 4]);
});

it('keeps nothing that has expired once something else comes', () => {
  const cache = new ExpiringCache<number>(1_000);
  for (const key of ['a', 'b', 'c']) cache.set(key, 1);
  vi.advanceTimersByTime(1_000);
  expect(cache.size).toBe(3);
  cache.set('d', 2);
  expect(cache.size).toBe(1);
});
