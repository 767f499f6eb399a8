import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { RedisUsage } from '../../src/access/limits/sharedUsage.ts';
import { TokenBuckets } from '../../src/access/limits/tokenBuckets.ts';
import { newRedis } from '../support/newRedis.ts';

const TIMEOUT_MS = 200;

function newInstance(url: string) {
  const changes: boolean[] = [];
  const shared = new RedisUsage({ url, timeoutMs: TIMEOUT_MS, onHealth: (healthy) => changes.push(healthy) });
  const refused: string[] = [];
  const buckets = new TokenBuckets({ shared, onRefused: (kind) => refused.push(kind) });
  onTestFinished(() => buckets.close());
  const take = (points: number) => {
    try {
      buckets.take([{ tenantId: 'tenant', kind: 'events', points, perSecond: 1_000 }]);
      return true;
    } catch {
      return false;
    }
  };
  return { shared, buckets, changes, take };
}

const settled = (check: () => void) => vi.waitFor(check, { timeout: 8_000, interval: 20 });

/** Both know of each other: what one has taken is missing in the other's bucket. */
async function linked(a: ReturnType<typeof newInstance>, b: ReturnType<typeof newInstance>) {
  await settled(() => {
    for (const { take, shared } of [a, b]) {
      take(1);
      expect(shared.healthy()).toBe(true);
    }
  });
}

describe('instances on one Redis', () => {
  test('what one has taken, the other lacks', async () => {
    const { url } = await newRedis();
    const [a, b] = [newInstance(url), newInstance(url)];
    await linked(a, b);
    await settled(() => {
      a.take(30_000);
      b.take(0);
      expect(b.buckets.allowance('tenant', 'events', 1_000).resetSeconds).toBeGreaterThan(10);
    });
    expect(b.take(1)).toBe(false);
  });

  test('Redis killed: each grants the whole rate at once; it is taken up again when it is back', async () => {
    const server = await newRedis();
    const [a, b] = [newInstance(server.url), newInstance(server.url)];
    await linked(a, b);
    await server.kill();
    await settled(() => {
      for (const { take, shared } of [a, b]) {
        take(1);
        expect(shared.healthy()).toBe(false);
      }
    });
    await settled(() => expect(a.take(1_000)).toBe(true));
    await settled(() => expect(b.take(1_000)).toBe(true));
    await newRedis(server.port);
    await linked(a, b);
    expect(a.changes).toEqual([true, false, true]);
    await settled(() => {
      a.take(30_000);
      b.take(0);
      expect(b.buckets.allowance('tenant', 'events', 1_000).resetSeconds).toBeGreaterThan(10);
    });
  });
});

test('a black hole holds nobody up, and is left alone for a while', async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { shared, buckets, take } = newInstance(
    `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
  );
  for (let i = 0; i < 100; i++) expect(take(1)).toBe(true);
  expect(await shared.add('events:tenant', 1)).toBeNull();
  expect(await shared.add('events:tenant', 1)).toBeNull();
  expect(shared.healthy()).toBe(false);
  expect(take(1)).toBe(true);
  await buckets.exchange();
  expect(connections).toBeLessThan(10);
});
