import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, describeEngine, type TestDatabase } from '../support/database.ts';
import { startDatabaseProxy } from '../support/databaseProxy.ts';
import { expectCountedOnce, Producer, patientRedis } from '../support/queue.ts';
import { type RedisServer, startRedis } from '../support/redisServer.ts';
import { runFolder } from '../support/runFolder.ts';
import { startServiceOn, type TestService, until } from '../support/service.ts';
import { stablePort } from '../support/stablePort.ts';
import { TcpProxy } from '../support/tcpProxy.ts';

let streams = 0;

describeEngine('a queue under faults', () => {
  const dialects = ['native', 'increment'] as const;
  const cleanups: (() => Promise<unknown> | unknown)[] = [];
  let database: TestDatabase;
  let toDatabase: TcpProxy;
  let databaseUrl: string;
  let dataDir: string;
  let server: RedisServer;
  let toRedis: TcpProxy;
  let redis: Redis;
  let services: TestService[];
  let stream: string;
  let tenantId: string;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(await runFolder(), 'queue-redis-'));
    server = await startRedis({ port: await stablePort(), dataDir });
    toRedis = await TcpProxy.start({ host: '127.0.0.1', port: server.port });
    redis = patientRedis(server.url);
    database = await createTestDatabase();
    ({ proxy: toDatabase, url: databaseUrl } = await startDatabaseProxy(database.url));
  });
  afterAll(async () => {
    redis.disconnect();
    await toRedis.close();
    await toDatabase.close();
    await server.kill();
    await database.drop();
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  /** Two instances that read a stream of their own. */
  async function begin(): Promise<Producer> {
    await toRedis.become('open');
    await toDatabase.become('open');
    stream = `away:${++streams}`;
    const env = {
      DB_PROBE_INTERVAL_MS: '200',
      DB_PROBE_TIMEOUT_MS: '1500',
      DB_CONNECT_TIMEOUT_MS: '2000',
      INGEST_DEADLINE_MS: '2000',
      SOURCE_REDIS_URL: `redis://127.0.0.1:${toRedis.port}`,
      SOURCE_STREAM: stream,
      SOURCE_CLAIM_AFTER_MS: '1000',
    };
    services = [];
    for (let i = 0; i < 2; i++) {
      const service = await startServiceOn(database, env, { url: databaseUrl });
      cleanups.push(async () => {
        await service.service.close();
        await service.sql.end();
      });
      services.push(service);
    }
    await until(ready);
    tenantId = (await services[0]!.tenant()).id;
    const producer = new Producer(server.url, stream, tenantId, dialects);
    cleanups.push(() => producer.stop());
    await until(async () => (await stored()) > 100);
    return producer;
  }

  const metric = async (name: string) => {
    const { body } = await services[0]!.call('GET', '/metrics', { key: null });
    return Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)`, 'm').exec(body)?.[1]);
  };
  const ready = async () => (await services[0]!.call('GET', '/readyz', { key: null })).status === 200;
  const stored = async () => {
    const { rows } = await services[0]!.sql.query(
      'select count(*)::int as n from event where tenant_id = $1',
      [tenantId],
    );
    return rows[0].n as number;
  };
  /** What came meanwhile is read without anybody's help. */
  async function goesOn(producer: Producer): Promise<void> {
    const before = await stored();
    await until(async () => (await stored()) > before + 100, 20_000);
    await producer.stop();
    await expectCountedOnce(services[0]!.sql, redis, stream, tenantId);
  }

  describe('Redis', () => {
    it('killed and started again with what it had: counted once', async () => {
      const producer = await begin();
      for (let i = 0; i < 4; i++) {
        await sleep(100 + Math.random() * 300);
        await server.kill();
        expect(await ready()).toBe(true);
        await sleep(200);
        server = await startRedis({ port: server.port, dataDir });
        await until(async () => (await metric('tidemark_source_up')) === 1);
      }
      await goesOn(producer);
    });

    it('silent: noticed, and read again on new connections', async () => {
      const producer = await begin();
      await toRedis.become('silent');
      await until(async () => (await metric('tidemark_source_up')) === 0, 15_000);
      expect(await ready()).toBe(true);
      await toRedis.become('open');
      await goesOn(producer);
    });

    it('refusing: likewise', async () => {
      const producer = await begin();
      for (let i = 0; i < 5; i++) {
        await toRedis.become('refusing');
        await sleep(150);
        await toRedis.become('open');
        await sleep(Math.random() * 400);
      }
      await goesOn(producer);
    });

    it('answering errors: likewise', async () => {
      const producer = await begin();
      await redis.config('SET', 'min-replicas-to-write', '1'); // NOREPLICAS to every write
      await until(async () => (await metric('tidemark_source_up')) === 0, 15_000);
      await redis.config('SET', 'min-replicas-to-write', '0');
      await goesOn(producer);
    });

    it('without the group, or the stream, any more: begins anew', async () => {
      const producer = await begin();
      await redis.xgroup('DESTROY', stream, 'tidemark');
      await goesOn(producer); // all of it was read a second time
      const before = await stored();
      await redis.del(stream);
      const second = new Producer(server.url, stream, tenantId, dialects);
      cleanups.push(() => second.stop());
      await until(async () => (await stored()) > before + 100);
    });
  });

  describe('the database', () => {
    it.each(['refusing', 'silent'] as const)(
      '%s: entries wait, nothing becomes a dead letter, and what had been let in is counted once',
      async (state) => {
        const producer = await begin();
        await toDatabase.become(state);
        await until(async () => !(await ready()), 20_000);
        await sleep(2_000); // longer than an entry may be with an instance
        await toDatabase.become('open');
        await goesOn(producer);
      },
    );

    it('slow to take what comes: the stream keeps it, and requests are still taken', {}, async () => {
      const producer = await begin();
      const client = await services[0]!.sql.connect();
      try {
        await client.query('begin');
        await client.query('lock table event in exclusive mode');
        await sleep(3_000);
        const rows = await queued();
        expect(rows).toBeLessThanOrEqual(Math.ceil(50_000 / 3));
        await client.query('rollback');
      } finally {
        client.release(true);
      }
      await goesOn(producer);
    });

    const queued = async () => {
      const { body } = await services[0]!.call('GET', '/metrics', { key: null });
      return Number(/^tidemark_ingest_queue_rows (\d+)/m.exec(body)?.[1]);
    };
  });
});
