import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { ask } from '../reliability/httpRequest.ts';
import { ServiceProcess } from '../reliability/serviceProcess.ts';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../support/database.ts';
import { expectCountedOnce, Producer, patientRedis } from '../support/queue.ts';
import { runFolder } from '../support/runFolder.ts';

const ADMIN_KEY = 'tm_admin_key_of_the_queue_tests';

/** Two instances read a queue and are killed in turn, so many times together. */
export function describeQueueKills(kills: number): void {
  describeEngine('a queue whose readers are killed', () => {
    const stream = `kills:${process.pid}:${randomBytes(4).toString('hex')}`;
    const redis = patientRedis(inject('redisUrl'));
    const services: ServiceProcess[] = [];
    let database: TestDatabase;
    let sql: pg.Pool;

    beforeAll(async () => {
      await buildProgram();
      database = await createTestDatabase();
      sql = new pg.Pool({ connectionString: database.url, max: 1 });
      const folder = await mkdtemp(join(await runFolder(), 'queue-'));
      for (const i of [0, 1]) {
        const env = {
          TIDEMARK_PROFILE: 'prod',
          DATABASE_URL: database.url,
          ADMIN_KEY,
          LOG_LEVEL: 'warn',
          DRAIN_DELAY_MS: '0',
          SOURCE_REDIS_URL: inject('redisUrl'),
          SOURCE_STREAM: stream,
          SOURCE_CLAIM_AFTER_MS: '1000',
          SOURCE_BATCH_ENTRIES: '50',
        };
        services.push(await ServiceProcess.start(env, join(folder, `${i}.log`)));
      }
    });
    afterAll(async () => {
      for (const service of services) await service.kill();
      redis.disconnect();
      await sql.end();
      await database.drop();
    });

    it('is counted exactly once, whenever they are killed', async () => {
      const tenantId = 'queue-kills';
      const made = await ask(services[0]!.port, '/v1/tenants', {
        key: ADMIN_KEY,
        body: { id: tenantId, name: tenantId },
        timeoutMs: 10_000,
      });
      expect(made.outcome).toBe(201);
      const producer = new Producer(inject('redisUrl'), stream, tenantId, ['native', 'increment']);
      let reclaimed = 0;
      try {
        for (let kill = 0; kill < kills; kill++) {
          const service = services[kill % 2]!;
          await sleep(Math.random() * 300);
          await service.kill();
          const groups = (await redis.xinfo('CONSUMERS', stream, 'tidemark')) as unknown[][];
          const pending = groups.map((reply) => Number(reply[reply.indexOf('pending') + 1]));
          reclaimed += pending.reduce((sum, n) => sum + n, 0);
          service.spawn();
          if (kill % 3 === 0) await service.ready();
        }
        await Promise.all(services.map((service) => service.ready()));
      } finally {
        await producer.stop();
      }
      expect(producer.added).toBeGreaterThan(70 * kills);
      expect(reclaimed).toBeGreaterThan(0); // the kills came upon entries that were under way
      await expectCountedOnce(sql, redis, stream, tenantId, 40_000);
      // In order they end, too, with nothing left behind.
      expect(await services[0]!.terminate(10_000)).toBe(0);
    });
  });
}
