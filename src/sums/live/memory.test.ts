import { expect, test } from 'vitest';
import { WINDOW_MS } from '../../model/window.ts';
import { emptySums, type LiveIncrement } from './liveCounters.ts';
import { MemoryLiveCounters } from './memory.ts';

const START = Date.UTC(2026, 10, 21, 12);

function increment(customerId: string | null, windowStart: number, endpoint?: string): LiveIncrement {
  const sums = { ...emptySums(), calls: 1, tokens: 7 };
  if (endpoint !== undefined) sums.byEndpoint[endpoint] = { calls: 1, tokens: 7 };
  return { tenantId: 'tenant', customerId, windowStart, sums };
}

/** Counters that have run for long enough to answer for the window that begins at START and the one before. */
function counters(maxBytes?: number) {
  const clock = { now: START - 2 * WINDOW_MS };
  const live = new MemoryLiveCounters({ maxFields: 10, maxBytes, now: () => clock.now });
  clock.now = START;
  return { live, clock };
}

test('windows from before the start are left to the database', async () => {
  let now = START + 5_000;
  const live = new MemoryLiveCounters({ maxFields: 10, now: () => now });
  await live.add([increment('c', START)]);
  expect(await live.read('tenant', 'c', [START])).toBeNull();
  now += WINDOW_MS;
  expect(await live.read('tenant', 'c', [START + WINDOW_MS])).toEqual([emptySums()]);
  expect(await live.read('tenant', 'c', [START, START + WINDOW_MS])).toBeNull();
});

test('so are windows into which events were written ahead before the start', async () => {
  const latestEventMs = START + 3 * WINDOW_MS + 1;
  let now = START;
  const live = new MemoryLiveCounters({ maxFields: 10, latestEventMs, now: () => now });
  now = START + 4 * WINDOW_MS;
  expect(await live.read('tenant', 'c', [now - WINDOW_MS])).toBeNull();
  expect(await live.read('tenant', 'c', [now])).toEqual([emptySums()]);
});

test('a dropped window does not come back empty when the clock is set back', async () => {
  const { live, clock } = counters();
  await live.add([increment('c', START)]);
  clock.now = START + 2 * WINDOW_MS;
  expect(await live.read('tenant', 'c', [clock.now])).toEqual([emptySums()]);
  clock.now = START;
  expect(await live.read('tenant', 'c', [START])).toBeNull();
});

test('at the memory bound a counter without room is left to the database, the others stay exact', async () => {
  const { live } = counters(20_000);
  for (let i = 0; i < 1_000; i += 1) await live.add([increment(`c${i}`, START)]);
  await live.add([increment('c0', START)]);
  expect(await live.read('tenant', 'c0', [START])).toMatchObject([{ calls: 2, tokens: 14 }]);
  expect(await live.read('tenant', 'c999', [START])).toBeNull();
  expect(await live.read('tenant', 'never seen', [START])).toBeNull();
  expect(await live.read('tenant', 'never seen', [START - WINDOW_MS])).toEqual([emptySums()]);
});

test('at the memory bound new names go to (other)', async () => {
  const { live } = counters(1_000);
  for (const name of ['a', 'b', 'c', 'd']) await live.add([increment('c', START, name)]);
  const [sums] = (await live.read('tenant', 'c', [START]))!;
  expect(sums).toMatchObject({ calls: 4, tokens: 28, byEndpoint: { '(other)': { calls: 2, tokens: 14 } } });
});

test('room is given back as windows pass', async () => {
  const { live, clock } = counters(3_000);
  for (let i = 0; i < 100; i += 1) {
    await live.add([increment('a', clock.now), increment(null, clock.now)]);
    expect(await live.read('tenant', 'a', [clock.now])).toMatchObject([{ calls: 1 }]);
    clock.now += WINDOW_MS;
  }
});
