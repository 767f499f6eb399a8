import pg from 'pg';
import { afterEach, expect, inject, it, type TestContext } from 'vitest';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { checksums } from '../../support/checksums.ts';
import { allPages, expectExact, USAGE_VIEWS } from '../../support/compareSummaries.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { FAST_DELIVERY, subscribe, writeMessages } from '../../support/messages.ts';
import { Receiver } from '../../support/receiver.ts';
import { startServiceOn, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

/** The last TimescaleDB for PostgreSQL 15, before the catalog of chunks was another. */
const OLD = '2.28.3';

const DAY = 86_400_000;
const DAYS = 9;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();
const today = Math.floor(Date.now() / DAY) * DAY;
const from = today - DAYS * DAY;

const PACKING = { ...FAST_DELIVERY, COLUMNSTORE_AFTER_DAYS: '3' };
/** Late windows stay late, and nothing is packed. */
const AT_REST = { ...FAST_DELIVERY, CLOSER_INTERVAL_MS: '60000', COLUMNSTORE_AFTER_DAYS: '0' };
const SHORT = {
  ...PACKING,
  ACCEPT_BEHIND_DAYS: '3',
  EVENT_RETENTION_DAYS: '5',
  USAGE_30S_RETENTION_DAYS: '6',
  USAGE_1H_RETENTION_DAYS: '7',
};
const RECORD = { customerId: 'alice', eventType: 'positive', value: '12.5', reference: 'invoice' };

describeEngine(`TimescaleDB ${OLD} that becomes the server's own (SEED=${seed})`, () => {
  let database: TestDatabase | undefined;
  let t: TestService | undefined;
  let receiver: Receiver | undefined;
  let client: pg.Client | undefined;
  let tenant: { id: string; key: string };
  let model: BruteForce;
  let random: () => number;

  afterEach(async () => {
    await halt();
    await receiver?.stop();
    await client?.end();
    await database?.drop();
    [database, receiver, client] = [undefined, undefined, undefined];
  });

  const halt = async () => {
    await t?.service.close();
    await t?.sql.end();
    t = undefined;
  };
  const serve = async (env: Record<string, string>) => {
    await halt();
    t = await startServiceOn(database!, env, {
      configure: ({ retention }) =>
        Object.assign(retention, { intervalMs: 50, removeAfterMs: 0, passEveryMs: 0 }),
    });
    return t;
  };
  const ask = (path: string, key: string) => t!.call('GET', path, { key });
  const post = async (events: ClientEvent[]) => {
    const { status, body } = await t!.call('POST', '/v1/events', { key: tenant.key, body: events });
    expect(status, JSON.stringify(body)).toBe(200);
    model.add(events);
    return body;
  };
  const eventsOf = (daysAgo: number, count: number) =>
    Array.from({ length: count }, () => {
      const start = today - daysAgo * DAY;
      return randomEvent(random, start, Math.min(start + DAY, Date.now()));
    });
  const series = (...names: string[]) =>
    USAGE_VIEWS.filter(({ granularity, timezone }) => names.includes(`${granularity} ${timezone}`));
  const exact = async (since = from, views = USAGE_VIEWS) => {
    for (let at = since; at < Date.now(); at += 3 * DAY) {
      await expectExact(ask, tenant, model, at, Math.min(at + 3 * DAY, Date.now()), views);
    }
  };
  const caughtUp = () =>
    until(async () => {
      const { rowCount } = await t!.sql.query(
        `select from late_window l, window_state s
         where l.stale or l.stale_references and l.bucket < s.refreshed_1d or l.activity_revision < l.revision limit 1`,
      );
      return rowCount === 0;
    }, 60_000);
  const states = async (relation: string) => {
    const { rows } = await t!.sql.query<{ state: number }>(
      `select distinct state from retention_chunk where relation = $1 and range_end < now() - interval '3 days' order by 1`,
      [relation],
    );
    return rows.map(({ state }) => state);
  };
  const packed = () =>
    until(async () => {
      const all = await Promise.all(['event', 'usage_30s'].map(states));
      return all.every(([first, ...rest]) => first === 1 && rest.length === 0);
    }, 60_000);
  const versionOf = async (db: pg.Client) =>
    (await db.query(`select extversion from pg_extension where extname = 'timescaledb'`)).rows[0].extversion;
  const connect = async () => {
    const db = new pg.Client(database!.url);
    db.on('error', () => undefined);
    await db.connect();
    return db;
  };

  /** An empty database that is still on the older version; skips, loudly, where the server does not have it. */
  async function onOldVersion(context: TestContext): Promise<void> {
    context.skip(inject('engine') !== 'timescale', 'the postgres engine has no extension');
    database = await createEmptyDatabase();
    client = await connect();
    const { rows } = await client.query<{ path: boolean }>(
      `select exists (select from pg_extension_update_paths('timescaledb') p
                        join pg_available_extensions e on e.name = 'timescaledb' and p.target = e.default_version
                        join pg_available_extension_versions v on v.name = e.name and v.version = p.source
                      where p.source = $1 and p.source <> p.target and p.path is not null) as path`,
      [OLD],
    );
    if (!rows[0]!.path) {
      console.warn(
        `\n  ###  THIS SERVER HAS NO TimescaleDB ${OLD} BESIDE A NEWER ONE: updating it is NOT tested  ###\n`,
      );
      context.skip(`no TimescaleDB ${OLD} that could become a newer one`);
    }
    await client.query(`create extension timescaledb version '${OLD}'`);
    await migrate(client);
    expect(await versionOf(client)).toBe(OLD);
    random = randomFrom(seed);
    model = new BruteForce();
  }

  /** As docs/operations.md has it: the first statement of a new session. */
  async function update(): Promise<void> {
    const db = await connect();
    try {
      await db.query('alter extension timescaledb update');
      expect(await versionOf(db)).not.toBe(OLD);
    } finally {
      await db.end();
    }
  }

  it('keeps every row, window and message, and everything goes on', async (context) => {
    await onOldVersion(context);
    await serve(PACKING);
    tenant = await t!.tenant();
    receiver = await Receiver.start();
    receiver.answer = () => 503;
    const types = ['window.closed', 'window.revised', 'record.processed'];
    await subscribe(t!.sql, tenant.id, { url: receiver.url(), types });
    for (let daysAgo = DAYS; daysAgo >= 0; daysAgo--) await post(eventsOf(daysAgo, 60));
    await post([anEvent(RECORD)]);
    const { key: counting } = await t!.tenant(); // each increment is an event, too
    const increment = { key: counting, body: { key: 'calls', value: '1.5' } };
    expect((await t!.call('POST', '/v1/counters/increment', increment)).status).toBe(200);
    await caughtUp();
    await packed();

    // Late events that nobody refreshes, in packed days too, and messages that nobody has begun to send.
    await serve(AT_REST);
    for (const daysAgo of [DAYS, 5, 1]) await post(eventsOf(daysAgo, 15));
    await post([anEvent({ ...RECORD, timestamp: iso(today - 5 * DAY) })]);
    await exact();
    const counted = (await ask('/v1/counters/calls', counting)).body;
    expect(await states('event')).toEqual([1, 2]);
    await halt();
    const waiting = await writeMessages(client!, tenant.id, [
      { type: 'window.closed', customerId: 'alice', payload: { n: 1 } },
    ]);
    const before = await checksums(client!);
    const { rows: left } = await client!.query(
      `select (select count(*)::int from late_window where stale) as stale,
              (select count(*)::int from outbox where fanned_out_at is null) as unsent,
              (select count(*)::int from delivery where state = 'pending') as pending`,
    );
    for (const [what, count] of Object.entries(left[0]))
      expect([what, count]).toEqual([what, expect.toSatisfy((n) => n > 0)]);
    await client!.end();

    await update();
    client = await connect();
    expect(await checksums(client)).toEqual(before);
    expect(await migrate(client)).toEqual([]);

    await serve(AT_REST);
    await exact();
    await expectMovesSeen();
    await serve(PACKING);
    await caughtUp();
    await packed();
    await exact();
    const again = [...model.events.values()].slice(0, 50);
    const late = [8, 4, 0].flatMap((daysAgo) => eventsOf(daysAgo, 10));
    expect(await post([...again, ...late])).toEqual({ accepted: late.length, duplicates: again.length });
    await exact(from, series('30s UTC', '1h UTC', '1d UTC'));
    await caughtUp();
    await packed();
    await exact(from, series('30s UTC', '1h UTC', '1d UTC'));
    const raw = await allPages(
      ask,
      `/v1/events?from=${iso(from)}&to=${iso(Date.now())}&limit=1000`,
      tenant.key,
    );
    expect(raw.length).toBe(model.events.size);
    for (const id of ['invoice', 'order-1'])
      expect((await ask(`/v1/sessions/${id}`, tenant.key)).body).toEqual(model.session(id));
    expect((await ask('/v1/counters/calls', counting)).body).toEqual(counted);

    await expectAllDelivered(waiting);
    await expectRemoval();
  }, 300_000);

  it('loses and doubles nothing where an instance was left running', async (context) => {
    await onOldVersion(context);
    await serve(PACKING);
    tenant = await t!.tenant();
    for (let daysAgo = DAYS; daysAgo >= 0; daysAgo--) await post(eventsOf(daysAgo, 20));
    await caughtUp();
    const refused = new Set<number>();
    let updating = true;
    const unsure: ClientEvent[] = [];
    const load = (async () => {
      while (updating) {
        const events = [...eventsOf(Math.floor(random() * DAYS), 3), ...eventsOf(0, 3)];
        const { status } = await t!.call('POST', '/v1/events', { key: tenant.key, body: events });
        if (status === 200) model.add(events);
        else {
          unsure.push(...events);
          refused.add(status);
        }
      }
    })();
    try {
      await until(
        () =>
          update().then(
            () => true,
            (error) => {
              expect(['40P01', '55P03']).toContain(error.code); // it met the service in its catalog: again
              return false;
            },
          ),
        60_000,
      );
    } finally {
      updating = false;
      await load;
    }
    expect([...refused].filter((status) => status !== 503)).toEqual([]);
    await t!.sql.query('select from event').catch(() => undefined); // sessions that know the library of before end
    await t!.sql.query('select from event').catch(() => undefined);
    for (let at = 0; at < unsure.length; at += 100) {
      const events = unsure.slice(at, at + 100);
      await until(async () => {
        const { status } = await t!.call('POST', '/v1/events', { key: tenant.key, body: events });
        return status === 200;
      }, 30_000);
      model.add(events);
    }
    await exact();
    await caughtUp();
    await packed();
    await exact();
  }, 300_000);

  /** Reads notice that a chunk has been packed since their snapshot (docs/adr/0025). */
  async function expectMovesSeen(): Promise<void> {
    const moved = async () => (await client!.query('select tenant_data.chunks_moved() as so')).rows[0].so;
    const { rows: known } = await client!.query(
      `select count(*)::int as chunks, bool_and(tenant_data.chunk_state_now(to_jsonb(c)) = c.status) as same
       from _timescaledb_catalog.chunk c`,
    );
    expect(known[0]).toEqual({ chunks: expect.toSatisfy((n) => n > DAYS), same: true });
    await client!.query('begin isolation level repeatable read');
    expect(await moved()).toBe(false);
    const { rows } = await t!.sql.query(
      `select compress_chunk(chunk::regclass) from retention_chunk
       where relation = 'event' and state = 0 order by range_start limit 1`,
    );
    expect(rows.length).toBe(1);
    expect(await moved()).toBe(true);
    await client!.query('commit');
    expect(await moved()).toBe(false);
  }

  /** What failed and what waited comes to its receiver, each at least once. */
  async function expectAllDelivered(ids: string[]): Promise<void> {
    receiver!.answer = () => 204;
    await t!.sql.query(`
      with closed as (delete from endpoint_health),
           due as (update delivery set next_attempt_at = now() where state = 'pending')
      update delivery_lane set due_at = now() where lease is null`);
    await until(async () => {
      const { rows } = await t!.sql.query(
        `select (select count(*) from outbox where fanned_out_at is null)
              + (select count(*) from delivery where state = 'pending') as n`,
      );
      return Number(rows[0].n) === 0;
    }, 60_000);
    const { rows } = await t!.sql.query<{ message_id: string }>(`select message_id from delivery`);
    const received = new Set(receiver!.received.map(({ headers }) => headers['webhook-id']));
    expect([...rows.map((row) => row.message_id), ...ids].filter((id) => !received.has(id))).toEqual([]);
    expect(rows.length).toBeGreaterThan(ids.length);
  }

  /** What is old goes, chunk by chunk; what is left answers as before. */
  async function expectRemoval(): Promise<void> {
    await serve(SHORT);
    const oldest = async () => {
      const { rows } = await t!.sql.query<{ relation: string; days: number }>(
        `select relation, extract(day from $1::timestamptz - min(range_start))::int as days from retention_chunk
         where relation = 'event' group by relation`,
        [new Date(today)],
      );
      return rows[0]!.days;
    };
    await until(async () => (await oldest()) === 5, 30_000);
    await exact(today - 5 * DAY, series('30s UTC', '1h UTC'));
    const days = await allPages(
      ask,
      `/v1/usage?from=${iso(from)}&to=${iso(today)}&granularity=1d&groupBy=customer,model&limit=1000`,
      tenant.key,
    );
    const sums = model.usage((ms) => Math.floor(ms / DAY) * DAY, from, today);
    expect(days.map(({ bucket, calls, tokens }) => ({ bucket, calls, tokens }))).toEqual(
      sums.map(({ bucket, calls, tokens }) => ({ bucket, calls, tokens })),
    );
  }
});
