import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { type Answer, startTestService, type TestService } from '../support/service.ts';
import { callsCounted, storedEvents } from '../support/storedEvents.ts';
import { anEvent } from '../support/traffic.ts';
import { describeKilledBackends } from './describeKilledBackends.ts';

/** Keeps every writer waiting until it is released. */
async function lockEvents(t: TestService): Promise<{ release(): Promise<void> }> {
  const client = await t.sql.connect();
  await client.query('begin');
  await client.query('lock table event in exclusive mode');
  return {
    async release() {
      await client.query('commit');
      client.release();
    },
  };
}

describeKilledBackends(10);

describeEngine('ingest under faults', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ INGEST_DEADLINE_MS: '5000' });
  });
  afterAll(() => t.stop());

  const post = (key: string, body: unknown) => t.call('POST', '/v1/events', { key, body });

  it('fails only the request whose row the database refuses, among 50', async () => {
    const { id, key } = await t.tenant();
    await t.sql.query(
      `alter table event add constraint no_poison check (endpoint is distinct from '/poison')`,
    );
    try {
      const requests = Array.from({ length: 50 }, (_, i) => {
        const body = Array.from({ length: 5 }, () => anEvent());
        if (i === 17) body[3] = anEvent({ apiEndpoint: '/poison' });
        return body;
      });
      const answers = await Promise.all(requests.map((body) => post(key, body)));
      expect(answers.map((answer) => answer.status)).toEqual(requests.map((_, i) => (i === 17 ? 422 : 200)));
      expect(answers[17]!.body).toMatchObject({ code: 'event_rejected_by_database' });
      const ids = await storedEvents(t, id);
      const expected = requests.filter((_, i) => i !== 17).flat();
      expect(new Set(ids.keys())).toEqual(new Set(expected.map((event) => event.eventId)));
      expect(await callsCounted(t, key)).toBe(expected.length);
      // The refused ids were not claimed: once the fault is gone they are stored.
      const mended = requests[17]!.map((event) => ({ ...event, apiEndpoint: '/mended' }));
      expect((await post(key, mended)).body).toEqual({ accepted: 5, duplicates: 0 });
    } finally {
      await t.sql.query('alter table event drop constraint no_poison');
    }
  });

  it('isolates a refused row also in a batch with duplicates', async () => {
    const { id, key } = await t.tenant();
    const known = anEvent();
    await post(key, known);
    await t.sql.query(
      `alter table event add constraint no_poison check (endpoint is distinct from '/poison')`,
    );
    try {
      const poison = anEvent({ apiEndpoint: '/poison' });
      const bodies = [known, anEvent(), poison, anEvent(), poison, known];
      const answers = await Promise.all(bodies.map((body) => post(key, body)));
      expect(answers.map((answer) => answer.status)).toEqual([200, 200, 422, 200, 422, 200]);
      expect(await callsCounted(t, key)).toBe(3);
      expect([...(await storedEvents(t, id)).values()]).toEqual([1, 1, 1]);
    } finally {
      await t.sql.query('alter table event drop constraint no_poison');
    }
  });

  it.each(['XX000', 'P0001', '0A000'])(
    'fails nobody else where the database fails at a row as nobody foresaw: %s',
    async (sqlstate) => {
      const { id, key } = await t.tenant();
      await t.sql.query(
        `create function fail_at_poison() returns trigger language plpgsql as $$
         begin
           if new.endpoint = '/poison' then raise 'poison' using errcode = '${sqlstate}'; end if;
           return new;
         end $$;
         create trigger fail_at_poison before insert on event for each row execute function fail_at_poison()`,
      );
      try {
        const bodies = Array.from({ length: 20 }, (_, i) =>
          anEvent(i === 11 ? { apiEndpoint: '/poison' } : {}),
        );
        const answers = await Promise.all(bodies.map((body) => post(key, body)));
        expect(answers.map(({ status }) => status)).toEqual(bodies.map((_, i) => (i === 11 ? 503 : 200)));
        expect(answers[11]!.body).toMatchObject({ code: 'database_unavailable' });
        expect((await storedEvents(t, id)).size).toBe(19);
      } finally {
        await t.sql.query('drop trigger fail_at_poison on event; drop function fail_at_poison');
      }
      expect((await post(key, anEvent())).status).toBe(200);
    },
  );

  it('answers 503 with Retry-After when more waits than may, and stores all that it acknowledged', async () => {
    const small = await startTestService({
      INGEST_QUEUE_ROWS: '200',
      INGEST_BATCH_ROWS: '100',
      INGEST_WRITERS: '1',
    });
    try {
      const { id, key } = await small.tenant();
      const lock = await lockEvents(small);
      const answers = Array.from({ length: 30 }, () =>
        small.call('POST', '/v1/events', { key, body: Array.from({ length: 20 }, () => anEvent()) }),
      );
      await sleep(300);
      await lock.release();
      const settled = await Promise.all(answers);
      const refused = settled.filter((answer) => answer.status === 503);
      expect(refused.length).toBeGreaterThan(5);
      expect(refused[0]!.body.code).toBe('overloaded');
      expect(refused[0]!.headers.get('retry-after')).toBe('1');
      const { rows } = await small.sql.query('select count(*)::int as n from event where tenant_id = $1', [
        id,
      ]);
      expect(rows[0].n).toBe((settled.length - refused.length) * 20);
    } finally {
      await small.stop();
    }
  });

  it('settles every request by its deadline while the table is locked', async () => {
    const slow = await startTestService({ INGEST_DEADLINE_MS: '700' });
    try {
      const { id, key } = await slow.tenant();
      const lock = await lockEvents(slow);
      const started = Date.now();
      const bodies = Array.from({ length: 10 }, () => anEvent());
      const answers = await Promise.all(bodies.map((body) => slow.call('POST', '/v1/events', { key, body })));
      const took = Date.now() - started;
      await lock.release();
      expect(took).toBeLessThan(3_000);
      for (const { status, body } of answers) {
        expect(status).toBe(503);
        expect(['deadline_exceeded', 'database_unavailable']).toContain(body.code);
      }
      // Whatever became of them, the same ids again leave each stored once.
      for (const body of bodies) {
        let answer: Answer;
        do {
          answer = await slow.call('POST', '/v1/events', { key, body });
        } while (answer.status === 503);
        expect(answer.status).toBe(200);
      }
      const { rows } = await slow.sql.query(
        'select count(*)::int as n, count(distinct event_id)::int as ids from event where tenant_id = $1',
        [id],
      );
      expect(rows[0]).toEqual({ n: 10, ids: 10 });
    } finally {
      await slow.stop();
    }
  });
});
