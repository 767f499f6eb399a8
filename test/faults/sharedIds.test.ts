import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../support/service.ts';
import { IDENTITIES, storedEvents } from '../support/storedEvents.ts';
import { anEvent, type ClientEvent, randomFrom } from '../support/traffic.ts';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** Instances whose batches have ids in common, at the same time. */
describeEngine(`batches that share ids (SEED=${seed})`, () => {
  let t: TestService;
  let second: TestService;
  beforeAll(async () => {
    t = await startTestService();
    second = await startServiceOn(t.database);
  });
  afterAll(async () => {
    await second.service.close();
    await second.sql.end();
    await t.stop();
  });

  const post = (key: string, body: ClientEvent[], service = t) =>
    service.call('POST', '/v1/events', { key, body });

  async function retries(service: TestService, sqlstate: string): Promise<number> {
    const { body } = await service.call('GET', '/metrics');
    const line = new RegExp(`^tidemark_ingest_retries_total\\{sqlstate="${sqlstate}"\\} (\\d+)$`, 'm').exec(
      body,
    );
    return Number(line?.[1] ?? 0);
  }

  it('count each once, shared in part or wholly, in whatever order', async () => {
    const { id, key } = await t.tenant();
    const random = randomFrom(seed);
    const pool = Array.from({ length: 3_000 }, () => anEvent());
    const shuffled = (events: ClientEvent[]) =>
      events.map((event) => [random(), event] as const).sort(([a], [b]) => a - b);
    const requests: ClientEvent[][] = [];
    for (let i = 0; i < 60; i++) {
      const size = [1, 30, 150, 700][i % 4]!;
      requests.push(
        shuffled(pool)
          .map(([, event]) => event)
          .slice(0, size),
      );
    }
    requests.push(...requests.slice(0, 20)); // and again, as they were
    const answers = await Promise.all(
      requests.flatMap((body) => [post(key, body, t), post(key, body, second)]),
    );
    const sent = new Set(requests.flat().map(({ eventId }) => eventId));
    expect(answers.map(({ status }) => status).filter((status) => status !== 200)).toEqual([]);
    expect(answers.reduce((sum, { body }) => sum + body.accepted, 0)).toBe(sent.size);
    const stored = await storedEvents(t, id);
    expect(new Set(stored.keys())).toEqual(sent);
    expect([...stored.values()].every((n) => n === 1)).toBe(true);
    expect((await t.sql.query(`select ${IDENTITIES} as n`, [id])).rows[0].n).toBe(sent.size);
  });

  /** Holds the key of an event as another writer would, until its transaction ends. */
  async function hold(tenantId: string, { eventId }: ClientEvent, holder: pg.Client): Promise<void> {
    const { rows } = await holder.query(
      'select key, identity_slot(key) as slot from salted_identity($2, identity_salt($1)) as key',
      [tenantId, eventId],
    );
    await holder.query(`insert into event_key (key_${rows[0].slot}) values ($1)`, [rows[0].key]);
  }
  async function withHolder(work: (holder: pg.Client) => Promise<void>): Promise<void> {
    const holder = new pg.Client(t.database.url);
    holder.on('error', () => undefined);
    await holder.connect();
    try {
      await work(holder);
    } finally {
      await holder.end();
    }
  }
  const waits = () =>
    until(async () => {
      const { rows } = await t.sql.query(
        `select from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'
           and application_name = 'tidemark ingest' and query ~* 'on conflict'`,
      );
      return rows.length > 0;
    });

  it.each(['commit', 'rollback'])('wait for each other in one order, and go on after a %s', async (end) => {
    const { id, key } = await t.tenant();
    const events = Array.from({ length: 20 }, () => anEvent());
    await withHolder(async (holder) => {
      const before = await retries(t, '55P03');
      await holder.query('begin');
      await hold(id, events[7]!, holder);
      const answer = post(key, events);
      await waits(); // without a bound, after the COPY has given up
      await holder.query(end);
      const duplicates = end === 'commit' ? 1 : 0;
      expect(await answer).toMatchObject({ status: 200, body: { accepted: 20 - duplicates, duplicates } });
      expect(await retries(t, '55P03')).toBe(before + 1);
    });
  });

  it('lose nothing where they wait in a circle', async () => {
    const { id, key } = await t.tenant();
    const events = Array.from({ length: 40 }, () => anEvent());
    const { rows } = await t.sql.query(
      'select id, salted_identity(id, identity_salt($1)) as key from unnest($2::uuid[]) as id order by key',
      [id, events.map(({ eventId }) => eventId)],
    );
    const byKey = rows.map((row) => events.find(({ eventId }) => eventId === row.id)!);
    await withHolder(async (holder) => {
      await holder.query(`set deadlock_timeout = '1min'`); // so that the service is the one that is refused
      const before = await retries(t, '40P01');
      await holder.query('begin');
      await hold(id, byKey[30]!, holder);
      const answer = post(key, events);
      await waits();
      await hold(id, byKey[3]!, holder); // goes on once the service has given way
      await holder.query('rollback');
      expect(await answer).toMatchObject({ status: 200, body: { accepted: 40, duplicates: 0 } });
      expect(await retries(t, '40P01')).toBe(before + 1);
    });
    expect((await storedEvents(t, id)).size).toBe(40);
  });

  it('wait for what is no id as long as it takes', async () => {
    const { key } = await t.tenant();
    await t.sql.query(`
      create table waits_seen (lock_timeout text);
      create function see_waits() returns trigger language plpgsql security definer as
        $$ begin insert into public.waits_seen values (current_setting('lock_timeout')); return null; end $$;
      create trigger see_waits after insert on customer for each statement execute function see_waits();
    `);
    try {
      await withHolder(async (holder) => {
        const before = await retries(t, '55P03');
        await holder.query('begin; lock table customer in exclusive mode');
        const answer = post(key, [anEvent({ customerId: 'never seen' })]);
        await new Promise((resolve) => setTimeout(resolve, 500)); // five times as long as ids are waited for
        await holder.query('rollback');
        expect(await answer).toMatchObject({ status: 200, body: { accepted: 1 } });
        expect(await retries(t, '55P03')).toBe(before);
      });
      const { rows } = await t.sql.query('select lock_timeout from waits_seen');
      expect(rows).toEqual([{ lock_timeout: '0' }]);
    } finally {
      await t.sql.query('drop trigger see_waits on customer; drop function see_waits; drop table waits_seen');
    }
  });
});
