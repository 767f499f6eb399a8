import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type pg from 'pg';
import { expect } from 'vitest';
import { until } from './service.ts';
import { IDENTITIES } from './storedEvents.ts';
import { anEvent } from './traffic.ts';

/** What the service makes of an entry, and nothing else. */
interface Expected {
  rows: number;
  tokens: number;
  value: number;
}

/** A client that waits for Redis rather than fail. */
export function patientRedis(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  redis.on('error', () => undefined);
  return redis;
}

/** Adds entries of every kind to a stream, now and then one that was there before, until it is stopped. */
export class Producer {
  private readonly redis: Redis;
  private readonly stream: string;
  private readonly tenantId: string;
  private readonly dialects: readonly ('native' | 'increment')[];
  private running = true;
  private readonly loop: Promise<void>;
  added = 0;

  constructor(url: string, stream: string, tenantId: string, dialects: readonly ('native' | 'increment')[]) {
    this.redis = patientRedis(url);
    this.stream = stream;
    this.tenantId = tenantId;
    this.dialects = dialects;
    this.loop = this.run();
  }

  async stop(): Promise<void> {
    this.running = false;
    await this.loop;
    this.redis.disconnect();
  }

  private async run(): Promise<void> {
    let last: string[] = [];
    while (this.running) {
      const dialect = this.dialects[this.added % this.dialects.length]!;
      // A producer that lost an answer adds the same events again.
      const data = this.added % 17 === 0 && last.length > 0 ? last : [this.contents(dialect), dialect];
      last = data;
      const fields = ['data', data[0]!, 'type', data[1]!, 'tenant', this.tenantId];
      const id = await this.redis.xadd(this.stream, '*', ...fields).catch(() => sleep(50, null));
      if (id === null) continue;
      this.added++;
      if (this.added % 10 === 0) await sleep(5);
    }
  }

  private contents(dialect: 'native' | 'increment'): string {
    if (dialect === 'increment')
      return JSON.stringify({ key: `key-${this.added % 3}`, value: 1 + (this.added % 5) });
    const events = Array.from({ length: 1 + (this.added % 4) }, () =>
      anEvent({ eventId: randomUUID(), metadata: { tokens: this.added % 100 } }),
    );
    return JSON.stringify(events);
  }
}

/** What is in the stream, counted by hand: nothing is ever removed from it. */
async function expectedOf(redis: Redis, stream: string): Promise<Expected> {
  const seen = new Set<string>();
  const expected = { rows: 0, tokens: 0, value: 0 };
  for (const [, [, data, , type]] of await redis.xrange(stream, '-', '+')) {
    if (type === 'increment') {
      expected.rows++; // without a key of its own, each entry is another increment
      expected.value += JSON.parse(data!).value;
      continue;
    }
    for (const event of JSON.parse(data!)) {
      if (seen.has(event.eventId)) continue;
      seen.add(event.eventId);
      expected.rows++;
      expected.tokens += event.metadata.tokens;
    }
  }
  return expected;
}

/** How much of the stream is not settled. */
export async function unsettled(redis: Redis, stream: string): Promise<{ pending: number; lag: number }> {
  const [group] = (await redis.xinfo('GROUPS', stream)) as unknown[][];
  if (!group) return { pending: 0, lag: Number.POSITIVE_INFINITY }; // nobody has come to read it yet
  const value = (name: string) => Number(group[group.indexOf(name) + 1]);
  return { pending: value('pending'), lag: value('lag') };
}

/** Waits until everything in the stream is settled, and holds it against what is stored and summed up. */
export async function expectCountedOnce(
  sql: pg.Pool,
  redis: Redis,
  stream: string,
  tenantId: string,
  timeoutMs = 20_000,
): Promise<void> {
  await until(async () => {
    const { pending, lag } = await unsettled(redis, stream);
    return pending === 0 && lag === 0;
  }, timeoutMs);
  const expected = await expectedOf(redis, stream);
  const { rows } = await sql.query(
    `select count(*)::int as rows, count(distinct event_id)::int as ids, coalesce(sum(tokens), 0)::int as tokens,
       coalesce(sum(value) filter (where event_type = 'counter.increment'), 0)::int as value,
       ${IDENTITIES} as identities
     from event where tenant_id = $1`,
    [tenantId],
  );
  expect(rows[0]).toEqual({ ...expected, ids: expected.rows, identities: expected.rows });
  const { rows: sums } = await sql.query(
    `select sum(calls)::int as rows, sum(tokens)::int as tokens from usage_30s where tenant_id = $1`,
    [tenantId],
  );
  expect(sums[0]).toEqual({ rows: expected.rows, tokens: expected.tokens });
  expect(await redis.exists(`${stream}:dead`)).toBe(0);
}
