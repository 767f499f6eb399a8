import { expect, test } from 'vitest';
import { createLiveCounters } from './createLiveCounters.ts';

const base = { redisUrl: undefined, maxFields: 10, timeoutMs: 50 };

test.each(['memory', 'none'] as const)('store %s', async (store) => {
  const live = createLiveCounters({ ...base, store });
  expect(live.store).toBe(store);
  expect(live.healthy()).toBe(true);
  await live.add([]);
  await live.close();
  expect(await live.read('tenant', null, [0])).toBeNull();
});

test('store redis does not wait for Redis', async () => {
  const live = createLiveCounters({ ...base, store: 'redis', redisUrl: 'redis://127.0.0.1:1' });
  expect(live.store).toBe('redis');
  expect(live.healthy()).toBe(false);
  await live.close();
  expect(() => createLiveCounters({ ...base, store: 'redis' })).toThrow('redisUrl');
});

test('without a store every live read is left to the database', async () => {
  const live = createLiveCounters({ ...base, store: 'none' });
  expect(await live.read('tenant', null, [])).toBeNull();
});
