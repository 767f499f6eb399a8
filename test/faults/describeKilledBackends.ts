import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { type Answer, startTestService, type TestService } from '../support/service.ts';
import { callsCounted, IDENTITIES, storedEvents } from '../support/storedEvents.ts';
import { anEvent, type ClientEvent } from '../support/traffic.ts';

/** Clients that post until they are acknowledged, while the service's sessions are killed so many times. */
export function describeKilledBackends(times: number): void {
  describeEngine('ingest under faults', () => {
    let t: TestService;
    beforeAll(async () => {
      t = await startTestService({ INGEST_DEADLINE_MS: '5000' });
    });
    afterAll(() => t.stop());

    const post = (key: string, body: unknown) => t.call('POST', '/v1/events', { key, body });

    it(`loses and doubles nothing while its backends are killed ${times} times`, async () => {
      const { id, key } = await t.tenant();
      const admin = new pg.Client({ connectionString: t.database.url, application_name: 'killer' });
      await admin.connect();
      let running = true;
      let kills = 0;
      const acknowledged: ClientEvent[] = [];
      const tally = { accepted: 0, statuses: new Map<number, number>() };

      /** Posts until it is acknowledged, as a client should: with the same ids. */
      const deliver = async (body: ClientEvent[]) => {
        for (;;) {
          const answer: Answer = await post(key, body);
          tally.statuses.set(answer.status, (tally.statuses.get(answer.status) ?? 0) + 1);
          if (answer.status === 200) {
            acknowledged.push(...body);
            tally.accepted += answer.body.accepted;
            return;
          }
          expect(answer.status, JSON.stringify(answer.body)).toBe(503);
          await sleep(20);
        }
      };
      const clients = Array.from({ length: 8 }, async (_, client) => {
        while (running) await deliver(Array.from({ length: client % 2 ? 1 : 200 }, () => anEvent()));
      });
      while (kills < times) {
        await sleep(Math.random() * 40);
        const { rows } = await admin.query(
          `select pg_terminate_backend(pid) as killed from pg_stat_activity
           where datname = current_database() and application_name in ('tidemark ingest', 'tidemark read')
           order by random() limit 1`,
        );
        kills += rows.length;
      }
      running = false;
      await Promise.all(clients);
      await admin.end();

      const ids = await storedEvents(t, id);
      expect(acknowledged.filter((event) => ids.get(event.eventId) !== 1)).toEqual([]);
      expect(ids.size).toBe(acknowledged.length);
      expect(await callsCounted(t, key)).toBe(acknowledged.length);
      const { rows } = await t.sql.query(`select ${IDENTITIES} as n`, [id]);
      expect(rows[0].n).toBe(acknowledged.length);
    });
  });
}
