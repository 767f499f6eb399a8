import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WINDOW_MS, windowStart } from '../../src/model/window.ts';
import { emptySums, type LiveIncrement } from '../../src/sums/live/liveCounters.ts';
import { RedisLiveCounters, type RedisOptions } from '../../src/sums/live/redis.ts';
import { newRedis } from '../support/newRedis.ts';

const TIMEOUT_MS = 200;
/** What a call may take on a busy machine when it has to settle within the timeout. */
const BOUND_MS = TIMEOUT_MS + 300;
/** And when it must not wait at all. */
const AT_ONCE_MS = TIMEOUT_MS / 2;

function newClient(url: string): Redis {
  const client = new Redis(url);
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

/** A clock that can be moved on; starts a second into the window that is now. */
function newClock() {
  const clock = { now: windowStart(Date.now()) + 1_000, current: () => windowStart(clock.now) };
  return clock;
}
type Clock = ReturnType<typeof newClock>;

function newCounters(url: string, clock: Clock, options: Partial<RedisOptions> = {}): RedisLiveCounters {
  const live = new RedisLiveCounters({
    url,
    maxFields: 10,
    timeoutMs: TIMEOUT_MS,
    now: () => clock.now,
    ...options,
  });
  onTestFinished(() => live.close());
  return live;
}

const up = (live: RedisLiveCounters) =>
  vi.waitFor(() => expect(live.healthy()).toBe(true), { timeout: 6_000, interval: 5 });
const down = (live: RedisLiveCounters) =>
  vi.waitFor(() => expect(live.healthy()).toBe(false), { timeout: 6_000, interval: 5 });

/** Counters that answer for the current and the previous window. */
async function running(url: string, options: Partial<RedisOptions> = {}) {
  const clock = newClock();
  const live = newCounters(url, clock, options);
  await up(live);
  clock.now += 2 * WINDOW_MS;
  return { live, clock };
}

function one(windowStart: number): LiveIncrement[] {
  return [{ tenantId: 'tenant', customerId: null, windowStart, sums: { ...emptySums(), calls: 1 } }];
}

async function callsIn(live: RedisLiveCounters, ...windows: number[]): Promise<number[] | null> {
  const sums = await live.read('tenant', null, windows);
  return sums?.map(({ calls }) => calls) ?? null;
}

async function took(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Stands between client and Redis. While frozen it accepts connections and passes nothing on, either way. */
async function newProxy(targetPort: number) {
  const sockets = new Set<Socket>();
  const proxy = { url: '', frozen: '' as '' | 'both' | 'replies', connections: 0, thaw: () => {} };
  const held: (() => void)[] = [];
  proxy.thaw = () => {
    proxy.frozen = '';
    for (const pass of held.splice(0)) pass();
  };
  const server = createServer((client) => {
    proxy.connections += 1;
    const target = connect(targetPort, '127.0.0.1');
    const pipe = (from: Socket, to: Socket, holds: () => boolean) => {
      const pass = (write: () => void) => {
        if (holds()) held.push(write);
        else write();
      };
      from.on('data', (data) => pass(() => to.write(data)));
      from.on('end', () => pass(() => to.end()));
      from.on('error', () => to.destroy());
      sockets.add(from);
    };
    pipe(client, target, () => proxy.frozen === 'both');
    pipe(target, client, () => proxy.frozen !== '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  proxy.url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}

describe('Redis killed', () => {
  test('nothing throws or waits while it is gone; afterwards only windows begun since then are answered', async () => {
    const server = await newRedis();
    const changes: [boolean, string | undefined][] = [];
    const { live, clock } = await running(server.url, {
      onHealth: (healthy, cause) => changes.push([healthy, cause?.message]),
    });
    await live.add(one(clock.current()));
    expect(await callsIn(live, clock.current())).toEqual([1]);

    const underLoad = Array.from({ length: 50 }, () => took(() => live.add(one(clock.current()))));
    await server.kill();
    for (const ms of await Promise.all(underLoad)) expect(ms).toBeLessThan(BOUND_MS);
    await down(live);
    expect(await took(() => live.add(one(clock.current())))).toBeLessThan(AT_ONCE_MS);
    expect(await callsIn(live, clock.current())).toBeNull();

    await newRedis(server.port);
    await up(live);
    expect(changes.map(([healthy]) => healthy)).toEqual([true, false, true]);
    expect(changes[1]![1]).toEqual(expect.any(String));
    const lost = clock.current();
    await live.add(one(lost));
    expect(await callsIn(live, lost)).toBeNull();
    clock.now += WINDOW_MS;
    await live.add(one(clock.current()));
    expect(await callsIn(live, clock.current())).toEqual([1]);
    expect(await callsIn(live, lost, clock.current())).toBeNull();
    clock.now += WINDOW_MS;
    expect(await callsIn(live, clock.current() - WINDOW_MS, clock.current())).toEqual([1, 0]);
  });

  test('what was counted ahead and lost with it is not answered when its time comes', async () => {
    const server = await newRedis();
    const { live, clock } = await running(server.url);
    const ahead = clock.current() + 3 * WINDOW_MS;
    await live.add(one(ahead));
    await server.kill();
    await newRedis(server.port);
    await down(live);
    await up(live);
    clock.now = ahead;
    expect(await callsIn(live, ahead)).toBeNull();
    clock.now += WINDOW_MS;
    expect(await callsIn(live, clock.current())).toEqual([0]);
  });

  test('not there at the start: the process begins without it and takes it up when it comes', async () => {
    const server = await newRedis();
    await server.kill();
    const clock = newClock();
    const live = newCounters(server.url, clock);
    expect(await took(() => live.add(one(clock.current())))).toBeLessThan(AT_ONCE_MS);
    expect(await callsIn(live, clock.current())).toBeNull();
    await newRedis(server.port);
    await up(live);
    clock.now += WINDOW_MS;
    await live.add(one(clock.current()));
    expect(await callsIn(live, clock.current())).toEqual([1]);
  });
});

describe('black hole', () => {
  test('from the start: nobody waits, closing is quick', async () => {
    const server = createServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const clock = newClock();
    const live = newCounters(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`, clock);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const adds = async () => {
      for (let i = 0; i < 100; i += 1) await live.add(one(clock.current()));
    };
    expect(await took(adds)).toBeLessThan(AT_ONCE_MS);
    expect(await callsIn(live, clock.current())).toBeNull();
    expect(live.healthy()).toBe(false);
    expect(await took(() => live.close())).toBeLessThan(BOUND_MS);
  });

  test('in the middle: one wait, then none; closing is quick', async () => {
    const server = await newRedis();
    const proxy = await newProxy(server.port);
    const { live, clock } = await running(proxy.url);
    proxy.frozen = 'both';
    const first = await took(() => live.add(one(clock.current())));
    expect(first).toBeGreaterThan(TIMEOUT_MS - 20);
    expect(first).toBeLessThan(BOUND_MS);
    const next = async () => {
      for (let i = 0; i < 100; i += 1) await live.add(one(clock.current()));
      expect(await callsIn(live, clock.current())).toBeNull();
    };
    expect(await took(next)).toBeLessThan(AT_ONCE_MS);
    expect(await took(() => live.close())).toBeLessThan(BOUND_MS);
  });

  test('closing while it counts on an answer is quick too', async () => {
    const server = await newRedis();
    const proxy = await newProxy(server.port);
    const { live } = await running(proxy.url);
    proxy.frozen = 'both';
    expect(live.healthy()).toBe(true);
    expect(await took(() => live.close())).toBeLessThan(BOUND_MS);
  });

  test('a reply lost: applied once, not answered, right again from the next window on', async () => {
    const server = await newRedis();
    const direct = newClient(server.url);
    const proxy = await newProxy(server.port);
    const { live, clock } = await running(proxy.url);
    const hit = clock.current();
    await live.add(one(hit));
    proxy.frozen = 'replies';
    await live.add(one(hit));
    expect(live.healthy()).toBe(false);
    const key = `tidemark:live:${hit}:tenant:tenant`;
    expect(await direct.hget(key, 'sums')).toBe('2 0 0 0 0 0 0 0 0');

    proxy.thaw();
    await up(live);
    expect(await direct.hget(key, 'sums')).toBe('2 0 0 0 0 0 0 0 0');
    expect(await direct.get('tidemark:live:since')).toBe(String(hit + WINDOW_MS));
    expect(await callsIn(live, hit)).toBeNull();
    clock.now += WINDOW_MS;
    await live.add(one(clock.current()));
    expect(await callsIn(live, clock.current())).toEqual([1]);
  });

  test('a read without an answer does not hold back what follows', async () => {
    const server = await newRedis();
    const proxy = await newProxy(server.port);
    const { live, clock } = await running(proxy.url);
    proxy.frozen = 'both';
    const reads = () => Promise.all(Array.from({ length: 20 }, () => callsIn(live, clock.current())));
    expect(await took(async () => expect(new Set(await reads())).toEqual(new Set([null])))).toBeLessThan(
      BOUND_MS,
    );
    expect(await took(() => live.add(one(clock.current())))).toBeLessThan(AT_ONCE_MS);
    proxy.thaw();
    await up(live);
    expect(proxy.connections).toBeGreaterThan(1);
    // The increment was dropped, so its window is the database's.
    expect(await callsIn(live, clock.current())).toBeNull();
  });
});

describe('Redis answers with errors or without its data', () => {
  test('flushed: the counters are complete again from the next window on', async () => {
    const server = await newRedis();
    const direct = newClient(server.url);
    const { live, clock } = await running(server.url);
    const flushed = clock.current();
    await live.add(one(flushed));
    await direct.flushall();
    expect(await callsIn(live, flushed)).toBeNull();
    await up(live);
    await live.add(one(flushed));
    expect(await callsIn(live, flushed)).toBeNull();
    clock.now += WINDOW_MS;
    await live.add(one(clock.current()));
    expect(await callsIn(live, clock.current())).toEqual([1]);

    await direct.flushall();
    await live.add(one(clock.current()));
    expect(live.healthy()).toBe(true);
    expect(await callsIn(live, clock.current())).toBeNull();
    expect(await direct.get('tidemark:live:since')).toBe(String(clock.current() + WINDOW_MS));
  });

  test('out of memory: increments it refuses are not missing from any answer', async () => {
    const server = await newRedis();
    const direct = newClient(server.url);
    const { live, clock } = await running(server.url);
    await direct.config('SET', 'maxmemory', '1');
    await live.add(one(clock.current()));
    expect(live.healthy()).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(live.healthy()).toBe(false);
    expect(await callsIn(live, clock.current())).toBeNull();
    await direct.config('SET', 'maxmemory', '0');
    await up(live);
    expect(await callsIn(live, clock.current())).toBeNull();
    clock.now += WINDOW_MS;
    expect(await callsIn(live, clock.current())).toEqual([0]);
  });

  test('one counter that cannot be written makes the windows it belongs to unanswered', async () => {
    const server = await newRedis();
    const direct = newClient(server.url);
    const { live, clock } = await running(server.url);
    await direct.set(`tidemark:live:${clock.current()}:tenant:tenant`, 'not a hash');
    await live.add(one(clock.current()));
    await up(live);
    expect(await callsIn(live, clock.current())).toBeNull();
  });

  test('counters expire', async () => {
    const server = await newRedis();
    const direct = newClient(server.url);
    const { live, clock } = await running(server.url);
    await live.add([...one(clock.current()), ...one(clock.current() + WINDOW_MS)]);
    const ttl = await direct.pttl(`tidemark:live:${clock.current()}:tenant:tenant`);
    const ttlAhead = await direct.pttl(`tidemark:live:${clock.current() + WINDOW_MS}:tenant:tenant`);
    expect(ttl).toBeGreaterThan(2 * WINDOW_MS);
    expect(ttl).toBeLessThanOrEqual(120_000);
    expect(ttlAhead).toBeGreaterThan(120_000);
    expect(await direct.pttl('tidemark:live:since')).toBe(-1);
  });
});

describe('two instances', () => {
  test('share their counts; one that starts or has lost something holds back the answers of both', async () => {
    const server = await newRedis();
    const proxy = await newProxy(server.port);
    const { live: a, clock } = await running(server.url);
    await a.add(one(clock.current()));
    expect(await callsIn(a, clock.current())).toEqual([1]);

    const b = newCounters(proxy.url, clock);
    await up(b);
    expect(await callsIn(a, clock.current())).toBeNull();
    clock.now += WINDOW_MS;
    await Promise.all([a.add(one(clock.current())), b.add(one(clock.current()))]);
    expect(await callsIn(a, clock.current())).toEqual([2]);
    expect(await callsIn(b, clock.current())).toEqual([2]);

    proxy.frozen = 'both';
    await b.add(one(clock.current()));
    expect(b.healthy()).toBe(false);
    proxy.thaw();
    await up(b);
    expect(await callsIn(a, clock.current())).toBeNull();
    clock.now += WINDOW_MS;
    expect(await callsIn(a, clock.current())).toEqual([0]);
  });

  test('one that leaves tells the other what it has dropped', async () => {
    const server = await newRedis();
    const direct = newClient(server.url);
    const { live: a, clock } = await running(server.url);
    const b = newCounters(server.url, clock);
    await up(b);
    clock.now += WINDOW_MS;
    await direct.config('SET', 'maxmemory', '1');
    await b.add(one(clock.current()));
    await direct.config('SET', 'maxmemory', '0');
    expect(b.healthy()).toBe(false);
    expect(await callsIn(a, clock.current())).toEqual([0]);
    await b.close();
    expect(await callsIn(a, clock.current())).toBeNull();
  });
});
