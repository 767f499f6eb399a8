import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { RedisStreamSource } from '../../../src/intake/sources/redisStream.ts';
import type { Source, SourceEntry } from '../../../src/intake/sources/source.ts';
import { MemoryQueue, MemorySource } from '../../support/memorySource.ts';
import { until } from '../../support/service.ts';

const CLAIM_AFTER_MS = 300;

/** A queue of one kind, and what the tests do to it from outside. */
interface TestQueue {
  add(body: string): Promise<void>;
  /** Another instance that reads it. */
  open(): Source;
  dead(): Promise<{ body: string; code: string }[]>;
}

let redis: Redis;
let queues = 0;
beforeAll(() => {
  redis = new Redis(inject('redisUrl'));
});
afterAll(() => redis.disconnect());

const kinds: Record<string, () => TestQueue> = {
  memory() {
    const queue = new MemoryQueue(CLAIM_AFTER_MS);
    return {
      async add(body) {
        queue.add({ body: Buffer.from(body) });
      },
      open: () => new MemorySource(queue),
      dead: async () =>
        queue.dead.map(({ entry, reason }) => ({ body: entry.body.toString(), code: reason.code })),
    };
  },
  'Redis stream'() {
    const stream = `contract:${process.pid}:${++queues}`;
    return {
      async add(body) {
        await redis.xadd(stream, '*', 'data', body);
      },
      open: () =>
        new RedisStreamSource({
          url: inject('redisUrl'),
          stream,
          group: 'tidemark',
          deadLetterStream: `${stream}:dead`,
          claimAfterMs: CLAIM_AFTER_MS,
          batchEntries: 10,
          batchBytes: 1_000_000,
        }),
      async dead() {
        const entries = await redis.xrange(`${stream}:dead`, '-', '+');
        return entries.map(([, fields]) => {
          const value = (name: string) => fields[fields.indexOf(name) + 1]!;
          return { body: value('data'), code: value('tidemark-reason') };
        });
      },
    };
  },
};

describe.each(Object.entries(kinds))('a source: %s', (_, make) => {
  const open: Source[] = [];
  afterEach(async () => {
    for (const source of open.splice(0)) await source.close();
  });
  const reader = (queue: TestQueue) => {
    const source = queue.open();
    open.push(source);
    return source;
  };
  /** One read; none where the source is not connected yet. */
  const readOnce = (source: Source) => source.read().catch(() => sleep(10, [] as SourceEntry[]));
  /** Reads until there are so many, or for as long as it takes to see that there are no more. */
  async function read(source: Source, count: number): Promise<SourceEntry[]> {
    const entries: SourceEntry[] = [];
    const deadline = Date.now() + 5_000;
    while (entries.length < count && Date.now() < deadline) {
      entries.push(...(await readOnce(source)));
    }
    return entries;
  }
  const bodies = (entries: SourceEntry[]) => entries.map(({ body }) => body.toString());

  it('yields what was put into the queue, and says what is not settled', async () => {
    const queue = make();
    for (const body of ['a', 'b', 'c']) await queue.add(body);
    const source = reader(queue);
    const entries = await read(source, 3);
    expect(bodies(entries)).toEqual(['a', 'b', 'c']);
    expect(new Set(entries.map(({ origin }) => origin)).size).toBe(3);
    for (const entry of entries) {
      expect(entry).toMatchObject({ type: null, tenantId: null, idempotencyKey: null, redelivered: false });
      expect(Math.abs(entry.addedMs! - Date.now())).toBeLessThan(5_000);
    }
    await queue.add('d');
    expect(await source.status()).toEqual({ pending: 3, lag: 1 });
    await source.acknowledge([entries[1]!]);
    expect(await source.status()).toEqual({ pending: 2, lag: 1 });
  });

  it('delivers again what is not acknowledged, to another instance if need be, as the same entry', async () => {
    const queue = make();
    const first = reader(queue);
    for (const body of ['a', 'b', 'c']) await queue.add(body);
    const entries = await read(first, 3);
    await first.acknowledge([entries[0]!, entries[2]!]);
    await first.close();
    const second = reader(queue);
    const [again] = await read(second, 1);
    expect(again).toMatchObject({ id: entries[1]!.id, origin: entries[1]!.origin, redelivered: true });
    await second.acknowledge([again!]);
    expect(await second.status()).toEqual({ pending: 0, lag: 0 });
  });

  it('gives each entry to one of those who share it', async () => {
    const queue = make();
    const [a, b] = [reader(queue), reader(queue)];
    const all = Array.from({ length: 40 }, (_, i) => String(i));
    for (const body of all) await queue.add(body);
    const seen: string[] = [];
    await until(async () => {
      for (const source of [a, b]) {
        const entries = await readOnce(source);
        seen.push(...bodies(entries));
        await source.acknowledge(entries);
      }
      return seen.length >= all.length;
    });
    expect(seen.sort()).toEqual(all.sort());
  });

  it('puts what is rejected where it can be found, with the reason, and does not deliver it again', async () => {
    const queue = make();
    await queue.add('poison');
    const source = reader(queue);
    const [entry] = await read(source, 1);
    await source.reject(entry!, { code: 'invalid_json', message: 'no' });
    expect(await queue.dead()).toEqual([{ body: 'poison', code: 'invalid_json' }]);
    expect(await source.status()).toEqual({ pending: 0, lag: 0 });
  });

  it('takes an acknowledgement that comes twice', async () => {
    const queue = make();
    await queue.add('a');
    const source = reader(queue);
    const entries = await read(source, 1);
    await source.acknowledge(entries);
    await source.acknowledge(entries);
    expect(await source.status()).toEqual({ pending: 0, lag: 0 });
  });
});
