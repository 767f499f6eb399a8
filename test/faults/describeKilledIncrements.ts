import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** Clients that increment until they are acknowledged, and again, while sessions that write are killed so many times. */
export function describeKilledIncrements(times: number): void {
  describeEngine('counters under faults', () => {
    let t: TestService;
    beforeAll(async () => {
      t = await startTestService({ INGEST_DEADLINE_MS: '5000' });
    });
    afterAll(() => t.stop());

    it(`count each increment once while backends are killed ${times} times and requests are repeated`, async () => {
      const { id, key } = await t.tenant();
      const admin = new pg.Client({ connectionString: t.database.url, application_name: 'killer' });
      await admin.connect();
      let running = true;
      let delivered = 0;
      let repeated = 0;
      /** Some with a counter of their own, so that batches share some counters and not others. */
      const clients = Array.from({ length: 8 }, async (_, client) => {
        while (running) {
          const headers = { 'idempotency-key': `"${randomUUID()}"` };
          const body = { key: client % 2 ? 'shared' : `own-${client}`, value: '0.1' };
          for (let status = 0; status !== 200; ) {
            const answer = await t.call('POST', '/increment', { key, body, headers });
            ({ status } = answer);
            expect([200, 503], JSON.stringify(answer.body)).toContain(status);
            if (status === 200) repeated += answer.body.duplicates;
          }
          if (Math.random() < 0.2) {
            const again = await t.call('POST', '/increment', { key, body, headers });
            if (again.status === 200) expect(again.body).toEqual({ accepted: 0, duplicates: 1 });
          }
          delivered++;
        }
      });
      for (let kills = 0; kills < times; ) {
        await sleep(Math.random() * 40);
        const { rowCount } = await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name = 'tidemark ingest' order by random() limit 1`,
        );
        kills += rowCount!;
      }
      running = false;
      await Promise.all(clients);
      await admin.end();

      const { rows } = await t.sql.query(
        `select (select sum(value) from counter where tenant_id = $1) = $2::int * 0.1 as counters,
                (select count(*)::int from event where tenant_id = $1) as events,
                (select count(*)::int from idempotent_increment where tenant_id = $1) as keys`,
        [id, delivered],
      );
      expect(rows, `${repeated} answered as duplicates`).toEqual([
        { counters: true, events: delivered, keys: delivered },
      ]);
      const { body } = await t.call('GET', '/v1/counters', { key });
      expect(body.data.map((counter: { key: string }) => counter.key)).toEqual([
        'own-0',
        'own-2',
        'own-4',
        'own-6',
        'shared',
      ]);
    });
  });
}
