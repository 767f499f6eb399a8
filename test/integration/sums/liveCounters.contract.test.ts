import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, describe, expect, inject, test, vi } from 'vitest';
import { WINDOW_MS, windowStart } from '../../../src/model/window.ts';
import {
  emptySums,
  type LiveCounters,
  type LiveIncrement,
  type LiveSums,
} from '../../../src/sums/live/liveCounters.ts';
import { MemoryLiveCounters } from '../../../src/sums/live/memory.ts';
import { RedisLiveCounters } from '../../../src/sums/live/redis.ts';

const PREFIX = `tidemark:test:${randomUUID()}:`;
const MAX_FIELDS = 3;

interface MakeOptions {
  now: () => number;
  maxFields: number;
  latestEventMs: number | undefined;
}

const stores: Record<string, (options: MakeOptions) => Promise<LiveCounters>> = {
  memory: async (options) => new MemoryLiveCounters(options),
  redis: async (options) => {
    const url = inject('redisUrl');
    const keyPrefix = `${PREFIX}${randomUUID()}:`;
    const live = new RedisLiveCounters({ url, keyPrefix, timeoutMs: 10_000, ...options });
    await vi.waitFor(() => expect(live.healthy()).toBe(true), { timeout: 15_000, interval: 5 });
    return live;
  },
};

afterAll(async () => {
  const redis = new Redis(inject('redisUrl'));
  for await (const keys of redis.scanStream({ match: `${PREFIX}*`, count: 1_000 })) {
    if (keys.length > 0) await redis.del(keys);
  }
  await redis.quit();
});

function increment(
  sums: Partial<LiveSums>,
  windowStart: number,
  customerId: string | null = null,
  tenantId = 'tenant',
): LiveIncrement {
  return { tenantId, customerId, windowStart, sums: { ...emptySums(), ...sums } };
}

function names(entries: [string, number, number][]): LiveSums['byEndpoint'] {
  const record = emptySums().byEndpoint;
  for (const [name, calls, tokens] of entries) record[name] = { calls, tokens };
  return record;
}

describe.each(Object.entries(stores))('live counters: %s', (store, make) => {
  const open: LiveCounters[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((live) => live.close()));
  });

  async function start(nowMs: number, options: { latestEventMs?: number; maxFields?: number } = {}) {
    const clock = { now: nowMs };
    const { latestEventMs, maxFields = MAX_FIELDS } = options;
    const live = await make({ now: () => clock.now, maxFields, latestEventMs });
    open.push(live);
    return { live, clock };
  }

  /** Counters old enough to answer for the current and the previous window. */
  async function running(maxFields?: number) {
    const begun = windowStart(Date.now()) + 1_000;
    const { live, clock } = await start(begun, maxFields === undefined ? {} : { maxFields });
    clock.now = begun + 2 * WINDOW_MS;
    const current = windowStart(clock.now);
    return { live, clock, current, previous: current - WINDOW_MS };
  }

  test('says what it is', async () => {
    const { live } = await running();
    expect(live.store).toBe(store);
    expect(live.healthy()).toBe(true);
  });

  test('a window nobody wrote to is all zeros', async () => {
    const { live, current, previous } = await running();
    await live.add([]);
    expect(await live.read('tenant', null, [current, previous])).toEqual([emptySums(), emptySums()]);
    expect(await live.read('tenant', 'customer', [current])).toEqual([emptySums()]);
  });

  test('counters of which something is taken back are not answered for, the others are', async () => {
    const { live, current, previous } = await running();
    const one = { calls: 1, tokens: 10 };
    await live.add([
      increment(one, current, 'a'),
      increment(one, current, 'b'),
      increment(one, current),
      increment(one, previous, 'a'),
    ]);
    await live.distrust([
      { tenantId: 'tenant', customerId: 'a', windowStart: current },
      { tenantId: 'tenant', customerId: null, windowStart: current },
      { tenantId: 'tenant', customerId: 'new', windowStart: current },
    ]);
    await live.add([increment(one, current, 'a'), increment(one, current, 'new')]);
    expect(await live.read('tenant', 'a', [current])).toBeNull();
    expect(await live.read('tenant', 'new', [current])).toBeNull();
    expect(await live.read('tenant', null, [current])).toBeNull();
    expect(await live.read('tenant', 'a', [current, previous])).toBeNull();
    expect(await live.read('tenant', 'a', [previous])).toMatchObject([one]);
    expect(await live.read('tenant', 'b', [current])).toMatchObject([one]);
    expect(await live.read('other', null, [current])).toEqual([emptySums()]);
  });

  test('batches add up', async () => {
    const { live, current } = await running();
    const sums: LiveSums = {
      calls: 3,
      tokens: 30,
      inputTokens: 10,
      outputTokens: 20,
      latencySumMs: 0.3,
      latencyCount: 2,
      byEndpoint: names([
        ['/a', 2, 20],
        ['/b', 1, 0],
      ]),
      byModel: names([['m', 3, 30]]),
    };
    await live.add([increment(sums, current)]);
    expect(await live.read('tenant', null, [current])).toEqual([sums]);
    await live.add([increment(sums, current)]);
    await live.add([increment({ calls: 1, byModel: names([['n', 1, 0]]) }, current)]);
    expect(await live.read('tenant', null, [current])).toEqual([
      {
        calls: 7,
        tokens: 60,
        inputTokens: 20,
        outputTokens: 40,
        latencySumMs: 0.6,
        latencyCount: 4,
        byEndpoint: names([
          ['/a', 4, 40],
          ['/b', 2, 0],
        ]),
        byModel: names([
          ['m', 6, 60],
          ['n', 1, 0],
        ]),
      },
    ]);
  });

  test('windows, tenants and customers are apart, the windows in the order asked for', async () => {
    const { live, current, previous } = await running();
    await live.add([
      increment({ calls: 1 }, previous),
      increment({ calls: 2 }, current),
      increment({ calls: 3 }, current, 'customer'),
      increment({ calls: 4 }, current, null, 'tenant2'),
    ]);
    const calls = async (tenantId: string, customerId: string | null) =>
      (await live.read(tenantId, customerId, [current, previous]))?.map((sums) => sums.calls);
    expect(await calls('tenant', null)).toEqual([2, 1]);
    expect(await calls('tenant', 'customer')).toEqual([3, 0]);
    expect(await calls('tenant2', null)).toEqual([4, 0]);
    expect(await calls('tenant2', 'customer')).toEqual([0, 0]);
  });

  test('no two pairs of ids share a counter', async () => {
    const { live, current } = await running();
    const pairs: [string, string | null][] = [
      ['a', null],
      ['a', ''],
      ['a', 'null'],
      ['', 'a'],
      ['a:b', 'c'],
      ['a', 'b:c'],
      ['1:a', 'b'],
      ['a:1:b', null],
      ['tenant:a', null],
      ['customer:1:a:', null],
      ['é', '日本'],
      ['e\u0301', '日本'],
      ['a b', '\r\n$3'],
      ['__proto__', 'constructor'],
      ['{a}', '*'],
    ];
    await live.add(
      pairs.map(([tenant, customer], i) => increment({ calls: i + 1 }, current, customer, tenant)),
    );
    for (const [i, [tenant, customer]] of pairs.entries()) {
      expect(await live.read(tenant, customer, [current])).toMatchObject([{ calls: i + 1 }]);
    }
  });

  test('names that objects have already, and names like those the store uses itself', async () => {
    const { live, current } = await running();
    const awkward = [
      ['__proto__', 'constructor', 'toString'],
      ['calls', 'endpoints', 'models:calls:x'],
      ['', 'line\nbreak', 'endpoint:tokens:x'],
    ];
    for (const [i, three] of awkward.entries()) {
      const cells = names(three.map((name, j) => [name, j + 1, 10 * j]));
      const sums = { calls: 6, byEndpoint: cells, byModel: cells };
      await live.add([increment(sums, current, String(i))]);
      const [read] = (await live.read('tenant', String(i), [current]))!;
      expect(read).toEqual({ ...emptySums(), ...sums });
      expect(Object.keys(read!.byModel).sort()).toEqual([...three].sort());
    }
    expect(Object.prototype).not.toHaveProperty('calls');
  });

  test('names over the cap are summed under (other)', async () => {
    const { live, current } = await running();
    const many = names(Array.from({ length: 10 }, (_, i) => [`/${i}`, 1, 2]));
    await live.add([
      increment({ calls: 10, tokens: 20, byEndpoint: many, byModel: names([['m', 10, 20]]) }, current),
    ]);
    await live.add([increment({ calls: 10, tokens: 20, byEndpoint: many }, current)]);
    const [sums] = (await live.read('tenant', null, [current]))!;
    expect(sums).toMatchObject({ calls: 20, tokens: 40, byModel: { m: { calls: 10, tokens: 20 } } });
    expect(sums!.byEndpoint).toEqual(
      names([
        ['/0', 2, 4],
        ['/1', 2, 4],
        ['/2', 2, 4],
        ['(other)', 14, 28],
      ]),
    );
  });

  test('thousands of names in one batch', async () => {
    const { live, current } = await running(3_000);
    const many = names(Array.from({ length: 4_000 }, (_, i) => [`/${i}`, 1, i]));
    const sums = { calls: 4_000, tokens: 7_998_000, byEndpoint: many, byModel: many };
    await live.add([increment(sums, current)]);
    await live.add([increment(sums, current)]);
    const [read] = (await live.read('tenant', null, [current]))!;
    for (const cells of [read!.byEndpoint, read!.byModel]) {
      expect(Object.keys(cells)).toHaveLength(3_001);
      expect(cells['/2999']).toEqual({ calls: 2, tokens: 5_998 });
      expect(cells['(other)']).toEqual({ calls: 2_000, tokens: 2 * (7_998_000 - 4_498_500) });
    }
  });

  test('a client may call something (other)', async () => {
    const { live, current } = await running();
    const add = (...cells: [string, number, number][]) =>
      live.add([increment({ calls: 1, byModel: names(cells) }, current)]);
    await add(['(other)', 1, 10]);
    await add(['a', 1, 1], ['b', 1, 1], ['c', 1, 100], ['(other)', 1, 10], ['d', 1, 100]);
    expect((await live.read('tenant', null, [current]))![0]!.byModel).toEqual(
      names([
        ['(other)', 4, 220],
        ['a', 1, 1],
        ['b', 1, 1],
      ]),
    );
  });

  test('windows from before the start are not answered, nor those before the previous one', async () => {
    const begun = windowStart(Date.now()) + 1_000;
    const { live, clock } = await start(begun);
    const first = windowStart(begun);
    await live.add([increment({ calls: 1 }, first), increment({ calls: 2 }, first + WINDOW_MS)]);
    expect(await live.read('tenant', null, [first])).toBeNull();
    clock.now += WINDOW_MS;
    expect(await live.read('tenant', null, [first + WINDOW_MS, first])).toBeNull();
    clock.now += WINDOW_MS;
    await live.add([increment({ calls: 3 }, first + 2 * WINDOW_MS)]);
    const complete = [first + WINDOW_MS, first + 2 * WINDOW_MS];
    expect(await live.read('tenant', null, complete)).toMatchObject([{ calls: 2 }, { calls: 3 }]);
    clock.now += WINDOW_MS;
    expect(await live.read('tenant', null, [first + WINDOW_MS])).toBeNull();
  });

  test('windows with events written ahead before the start are not answered', async () => {
    const begun = windowStart(Date.now());
    const { live, clock } = await start(begun, { latestEventMs: begun + 2 * WINDOW_MS + 1 });
    clock.now = begun + 3 * WINDOW_MS;
    expect(await live.read('tenant', null, [clock.now - WINDOW_MS])).toBeNull();
    expect(await live.read('tenant', null, [clock.now])).toEqual([emptySums()]);
  });

  test('an event ahead is there when its window has come', async () => {
    const { live, clock, current } = await running();
    const ahead = current + 4 * WINDOW_MS;
    await live.add([increment({ calls: 5 }, ahead)]);
    clock.now = ahead;
    expect(await live.read('tenant', null, [ahead - WINDOW_MS, ahead])).toMatchObject([
      { calls: 0 },
      { calls: 5 },
    ]);
  });

  test('a sum that has outgrown exact numbers is not answered, its neighbours are', async () => {
    const { live, current } = await running();
    const huge = Number.MAX_SAFE_INTEGER;
    await live.add([
      increment({ calls: 1, tokens: huge }, current, 'a'),
      increment({ calls: 1, latencySumMs: 1e300, latencyCount: 1 }, current, 'b'),
      increment({ calls: 1, tokens: 2 ** 60 }, current, 'c'),
      increment({ calls: 1, tokens: 1 }, current, 'd'),
    ]);
    expect(await live.read('tenant', 'a', [current])).toMatchObject([{ calls: 1, tokens: huge }]);
    // 1,100 times this is more than 64 bits hold.
    const adds = Array.from({ length: 1_100 }, () =>
      live.add([increment({ calls: 1, tokens: huge }, current, 'a')]),
    );
    await Promise.all(adds);
    for (const customer of ['a', 'b', 'c']) expect(await live.read('tenant', customer, [current])).toBeNull();
    expect(await live.read('tenant', 'd', [current])).toMatchObject([{ tokens: 1 }]);
    expect(live.healthy()).toBe(true);
  });

  test('a batch of 5,000 customers, and several at once', async () => {
    const { live, current } = await running();
    const batch = Array.from({ length: 5_000 }, (_, i) =>
      increment({ calls: 1, tokens: i, byEndpoint: names([['/a', 1, i]]) }, current, `c${i}`),
    );
    batch.push(increment({ calls: 5_000 }, current));
    await Promise.all([live.add(batch), live.add(batch), live.add(batch)]);
    expect(await live.read('tenant', null, [current])).toMatchObject([{ calls: 15_000 }]);
    for (const i of [0, 2_500, 4_999]) {
      expect(await live.read('tenant', `c${i}`, [current])).toMatchObject([
        { calls: 3, tokens: 3 * i, byEndpoint: { '/a': { calls: 3, tokens: 3 * i } } },
      ]);
    }
  });

  test('once closed it does nothing and answers nothing', async () => {
    const { live, current } = await running();
    await live.close();
    await live.close();
    await live.add([increment({ calls: 1 }, current)]);
    expect(await live.read('tenant', null, [current])).toBeNull();
    expect(live.healthy()).toBe(false);
  });
});
