import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RecentLatencies } from '../../ground/telemetry/recentLatencies.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { Tallies } from './tallies.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const events = (...tenants: string[]) => tenants.map((tenantId) => ({ tenantId }) as UsageEvent);
const counts = (tallies: Tallies, tenantId: string | null) => {
  const { accepted, duplicates, rejected } = tallies.of(tenantId);
  return [accepted, duplicates, rejected];
};

it('counts requests of one tenant by what became of them', () => {
  const tallies = new Tallies();
  tallies.stored('a', events('a', 'a', 'a'), { accepted: 2, duplicates: 1, duplicateFlags: null }, 1);
  tallies.stored('b', events('b'), { accepted: 1, duplicates: 0, duplicateFlags: null }, 1);
  tallies.rejected('a', 4);
  expect([counts(tallies, 'a'), counts(tallies, 'b')]).toEqual([
    [2, 1, 4],
    [1, 0, 0],
  ]);
  expect(counts(tallies, null)).toEqual([3, 1, 4]);
});

it('counts a request of several tenants event by event, without those that were left out', () => {
  const tallies = new Tallies();
  const several = events('a', 'b', 'a', 'b', 'c');
  const refused = [{ index: 4, code: '22003', cause: null }];
  const duplicateFlags = [false, true, false, false, false];
  tallies.stored('\0admin', several, { accepted: 3, duplicates: 1, duplicateFlags, refused }, 1);
  expect(['a', 'b', 'c', null].map((tenantId) => counts(tallies, tenantId))).toEqual([
    [2, 0, 0],
    [1, 1, 0],
    [0, 0, 0],
    [3, 1, 0],
  ]);
});

it('keeps latencies where somebody looks, one for each request', () => {
  const tallies = new Tallies();
  const [ofA, ofAll] = [new RecentLatencies(2), new RecentLatencies(2)];
  tallies.of('a').latencies = ofA;
  tallies.of(null).latencies = ofAll;
  const result = { accepted: 2, duplicates: 0, duplicateFlags: null };
  tallies.stored('\0admin', events('a', 'a'), result, 10);
  tallies.stored('b', events('b', 'b'), result, 1_000);
  expect(ofA.percentiles(1)![0]).toBeCloseTo(10, 0);
  expect(ofAll.percentiles(0.5, 1)!.map((ms) => Math.round(ms / 100))).toEqual([0, 10]);
});

it('forgets the tenant that it has counted for longest, unless somebody looks, and tells since when it counts', () => {
  const tallies = new Tallies(2);
  const { sinceMs } = tallies.all;
  for (const tenant of ['a', 'b']) tallies.rejected(tenant, 1);
  expect([tallies.of('a').sinceMs, tallies.of('b').sinceMs]).toEqual([sinceMs, sinceMs]);
  vi.setSystemTime(sinceMs + 5_000);
  tallies.rejected('c', 1);
  expect(['c', 'b', 'a'].map((tenant) => tallies.of(tenant).rejected)).toEqual([1, 1, 0]);
  // Whatever it had before, it was forgotten then.
  expect(tallies.of('a').sinceMs).toBe(sinceMs + 5_000);
  expect(tallies.all.rejected).toBe(3);
  tallies.of('c').latencies = new RecentLatencies(2);
  for (const tenant of ['c', 'd', 'e']) tallies.rejected(tenant, 1);
  expect(['c', 'e', 'd'].map((tenant) => tallies.of(tenant).rejected)).toEqual([2, 1, 0]);
});
