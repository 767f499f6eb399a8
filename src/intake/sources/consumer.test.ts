import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryQueue, MemorySource } from '../../../test/support/memorySource.ts';
import { until } from '../../../test/support/service.ts';
import { anEvent } from '../../../test/support/traffic.ts';
import { createLogger } from '../../ground/telemetry/logger.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import type { WriteResult } from '../ingest/ingest.ts';
import { Consumer } from './consumer.ts';
import { SourceMetrics } from './sourceMetrics.ts';

const CLAIM_AFTER_MS = 60_000;
const STORED: WriteResult = { accepted: 1, duplicates: 0, duplicateFlags: null };

const running: Consumer<never>[] = [];
afterEach(async () => {
  for (const consumer of running.splice(0)) await consumer.stop();
});

type Store = (events: UsageEvent[], bytes: number, flow: string) => Promise<WriteResult>;

function consume(
  store: Store,
  { room = { rows: 100, bytes: 1_000_000 }, queue = new MemoryQueue(CLAIM_AFTER_MS) } = {},
) {
  const tenants = new Map<string, 'active' | 'inactive' | 'unknown'>([['tenant', 'active']]);
  const registry = new Registry();
  const source = new MemorySource(queue);
  const consumer = new Consumer({
    source,
    ingest: { store },
    tenants: { stateOf: async (id) => tenants.get(id) ?? 'unknown', forget: () => undefined },
    rules: {
      tenantId: 'tenant',
      acceptAheadMs: 1_000,
      acceptBehindMs: 60_000,
      maxEvents: 10,
      maxBytes: 100_000,
    },
    room,
    requireSame: async () => undefined,
    metrics: new SourceMetrics(registry),
    log: createLogger({ logLevel: 'silent' }),
  });
  running.push(consumer as unknown as Consumer<never>);
  consumer.start();
  const add = (...events: unknown[]) => queue.add({ body: Buffer.from(JSON.stringify(events)) });
  const settled = () => until(() => queue.waiting.length === 0 && queue.held.size === 0);
  return { consumer, queue, source, tenants, registry, add, settled };
}

describe('an entry', () => {
  it('is acknowledged when its events are stored, not before', async () => {
    let commit = () => {};
    const stored: UsageEvent[][] = [];
    const t = consume(async (events) => {
      stored.push(events);
      await new Promise<void>((resolve) => {
        commit = resolve;
      });
      return STORED;
    });
    t.add(anEvent({ customerId: 'a' }), anEvent({ customerId: 'b' }));
    await until(() => stored.length === 1);
    await sleep(50);
    expect(t.queue.held.size).toBe(1);
    commit();
    await t.settled();
    expect(stored[0]!.map(({ tenantId, customerId }) => [tenantId, customerId])).toEqual([
      ['tenant', 'a'],
      ['tenant', 'b'],
    ]);
    expect(await t.registry.metrics()).toContain(
      'tidemark_source_entries_total{source="memory",outcome="stored"} 1',
    );
  });

  it.each(['overloaded', 'database_unavailable', 'deadline_exceeded'] as const)(
    'waits while ingest says %s',
    async (code) => {
      let tries = 0;
      const t = consume(async () => {
        tries++;
        if (tries < 4) throw new TidemarkError(code, 'not now');
        return STORED;
      });
      t.add(anEvent());
      await t.settled();
      expect(tries).toBe(4);
      expect(t.queue.dead).toEqual([]);
    },
  );

  it('waits while ingest fails in a way nobody has foreseen', async () => {
    let tries = 0;
    const t = consume(async () => {
      if (tries++ === 0) throw new TypeError('a fault of ours');
      return STORED;
    });
    t.add(anEvent());
    await t.settled();
    expect(t.queue.dead).toEqual([]);
  });

  it('that the database refuses is rejected, and no other', async () => {
    const t = consume(async ([event]) => {
      if (event!.customerId === 'bad') throw new TidemarkError('event_rejected_by_database', 'refused');
      return STORED;
    });
    t.add(anEvent());
    t.add(anEvent({ customerId: 'bad' }));
    t.add(anEvent());
    await t.settled();
    expect(t.queue.dead.map(({ entry, reason }) => [entry.id, reason.code])).toEqual([
      ['2', 'event_rejected_by_database'],
    ]);
  });

  it('with one bad event is rejected wholly, with every fault', async () => {
    const stored: UsageEvent[] = [];
    const t = consume(async (events) => {
      stored.push(...events);
      return STORED;
    });
    t.add(anEvent(), { ...anEvent(), timestamp: 'yesterday' }, { ...anEvent(), tenantId: 'other' });
    await t.settled();
    expect(stored).toEqual([]);
    expect(t.queue.dead[0]!.reason).toMatchObject({
      code: 'timestamp_invalid',
      faults: [
        { index: 1, pointer: '/timestamp', code: 'timestamp_invalid' },
        { index: 2, pointer: '/tenantId', code: 'tenant_mismatch' },
      ],
    });
    expect(await t.registry.metrics()).toContain(
      'tidemark_source_rejected_total{source="memory",reason="timestamp_invalid"} 1',
    );
  });

  it('that comes again while it is under way is stored once', async () => {
    let calls = 0;
    const t = consume(
      async () => {
        calls++;
        await sleep(100);
        return STORED;
      },
      { queue: new MemoryQueue(10) },
    );
    t.add(anEvent());
    await t.settled();
    expect(calls).toBe(1);
  });

  it('of a tenant that an instance knows to be missing is looked up again before it is given up', async () => {
    const t = consume(async () => STORED);
    t.queue.add({ body: Buffer.from(JSON.stringify(anEvent())), tenantId: 'nobody' });
    t.queue.add({ body: Buffer.from(JSON.stringify(anEvent())), tenantId: 'no\0body' });
    t.tenants.set('gone', 'inactive');
    t.queue.add({ body: Buffer.from(JSON.stringify(anEvent())), tenantId: 'gone' });
    await t.settled();
    expect(t.queue.dead.map(({ reason }) => reason.code).sort()).toEqual([
      'tenant_inactive',
      'tenant_unknown',
      'tenant_unknown',
    ]);
  });
});

describe('a queue', () => {
  it('that is away is read when it is back, and what was stored meanwhile acknowledged then', async () => {
    let calls = 0;
    const t = consume(async () => {
      calls++;
      t.queue.away = new Error('away');
      return STORED;
    });
    t.add(anEvent());
    await until(() => t.queue.away !== null);
    t.add(anEvent());
    await sleep(200);
    expect(t.queue.held.size).toBe(1);
    expect(await t.registry.metrics()).toContain('tidemark_source_up{source="memory"} 0');
    t.queue.away = null;
    await until(() => calls === 2);
    t.queue.away = null;
    await t.settled();
    expect(calls).toBe(2);
  });

  it('is not read while as much is under way as may be', async () => {
    let open = false;
    let most = 0;
    let now = 0;
    const t = consume(
      async (events) => {
        now += events.length;
        most = Math.max(most, now);
        await until(() => open);
        now -= events.length;
        return STORED;
      },
      { room: { rows: 20, bytes: 1_000_000 } },
    );
    for (let i = 0; i < 100; i++) t.add(anEvent(), anEvent());
    await sleep(100);
    expect(most).toBe(20);
    expect(t.queue.waiting.length).toBeGreaterThanOrEqual(80);
    open = true;
    await t.settled();
    expect(most).toBeLessThanOrEqual(20);
  });

  it('gives an entry larger than all that may be under way a turn of its own', async () => {
    const sizes: number[] = [];
    const t = consume(
      async (events) => {
        sizes.push(events.length);
        return STORED;
      },
      { room: { rows: 3, bytes: 100 } },
    );
    t.add(anEvent(), anEvent(), anEvent(), anEvent(), anEvent());
    t.add(anEvent());
    await t.settled();
    expect(sizes).toEqual([5, 1]);
  });
});

describe('stopping', () => {
  it('waits for what has been read, then leaves the queue', async () => {
    let commit = () => {};
    const t = consume(async () => {
      await new Promise<void>((resolve) => {
        commit = resolve;
      });
      return STORED;
    });
    t.add(anEvent());
    await until(() => t.queue.held.size === 1);
    await sleep(20);
    const stopped = t.consumer.stop();
    await sleep(50);
    expect(t.source.closed).toBe(false);
    t.add(anEvent());
    commit();
    await stopped;
    expect(t.source.closed).toBe(true);
    expect([t.queue.held.size, t.queue.waiting.length]).toEqual([0, 1]);
  });

  it('leaves what would have to wait to others', async () => {
    let tries = 0;
    const t = consume(async () => {
      tries++;
      throw new TidemarkError('database_unavailable', 'away');
    });
    t.add(anEvent());
    await until(() => tries > 1);
    await t.consumer.stop();
    expect(t.queue.held.size).toBe(1);
    expect(t.queue.dead).toEqual([]);
  });
});
