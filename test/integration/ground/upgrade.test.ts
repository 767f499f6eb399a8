import pg from 'pg';
import { afterEach, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { CLOSED_BY_HAND, closeUpTo } from '../../support/closing.ts';
import { allPages, expectExact, expectPercentiles, USAGE_VIEWS } from '../../support/compareSummaries.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { blockNamed, readMarkdown } from '../../support/markdown.ts';
import { PreviousVersion } from '../../support/previousVersion.ts';
import { startServiceOn, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const WINDOW = 30_000;
const TENANT = 'old';
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

it('is refused, with nothing changed, by a TimescaleDB that cannot add a column to a continuous aggregate', async () => {
  const { up } = await import(new URL('../../../migrations/0023_latency_sketch.js', import.meta.url).href);
  const changes: string[] = [];
  const answers: [RegExp, object][] = [
    [/to_regclass/, { relation: 'installation' }],
    [/select engine/, { engine: 'timescale' }],
    [/current_schema/, { schema: 'public' }],
    [/extversion/, { extversion: '2.27.2' }],
  ];
  const query = async (text: string) => ({ rows: [answers.find(([about]) => about.test(text))![1]] });
  await expect(up({ db: { query }, sql: (text: string) => changes.push(text) })).rejects.toThrow(
    'TimescaleDB 2.27.2 cannot add a column to a continuous aggregate; nothing has been changed. Install TimescaleDB 2.28',
  );
  expect(changes).toEqual([]);
});

describeEngine(`an upgrade in place (SEED=${seed})`, () => {
  let database: TestDatabase;
  let previous: PreviousVersion | undefined;
  let t: TestService | undefined;
  afterEach(async () => {
    await previous?.end().catch(() => undefined);
    await t?.service.close();
    await t?.sql.end();
    await database.drop();
  });

  const record = (n: number, type: 'positive' | 'negative', value: string, ts: string) => ({
    ...{ n, tenant: TENANT, customer: 'alice', key: '=invoice', type, value, ts },
    body: { recordId: `r${n}`, time: ts, destinationId: 'alice', type, value, reference: 'invoice' },
  });

  /** A database as the version before has left it: three days refreshed, and today open; then late events. */
  async function leftBehind(today: number) {
    database = await createEmptyDatabase();
    const random = randomFrom(seed);
    const model = new BruteForce();
    previous = await PreviousVersion.install(database.url, today - 3 * DAY);
    const { client } = previous;
    await client.query(`insert into tenant (id, name) values ($1, 'Old')`, [TENANT]);
    await client.query(
      `insert into subscription (tenant_id, message_types, stream)
       values ($1, '{window.closed,window.revised,record.processed,usage.threshold}', 'messages')`,
      [TENANT],
    );
    const rule = await client.query(
      `insert into alert_rule (tenant_id, kind, measure, period, threshold, customers)
       values ($1, 'usage', 'calls', 'month', 1000000, '{metered}') returning id`,
      [TENANT],
    );
    const write = async (events: ClientEvent[], facts: object | null = null) => {
      await previous!.write(TENANT, events, facts);
      model.add(events);
    };
    for (let day = 3; day >= 1; day--) {
      const from = today - day * DAY;
      await write(Array.from({ length: 120 }, () => randomEvent(random, from, from + DAY)));
    }
    const at = iso(today - DAY + HOUR);
    const aRecord = (type: 'positive' | 'negative', value: string) =>
      anEvent({ timestamp: at, customerId: 'alice', eventType: type, value, reference: 'invoice' });
    const metered = () => anEvent({ timestamp: at, customerId: 'metered' });
    const month = (n: number) => Date.UTC(new Date(at).getUTCFullYear(), new Date(at).getUTCMonth() + n);
    await write([aRecord('positive', '60'), aRecord('negative', '60.25'), metered(), metered()], {
      records: [record(0, 'positive', '60', at), record(1, 'negative', '60.25', at)],
      usage: [
        {
          n: 2,
          rule: rule.rows[0].id,
          customer: 'metered',
          start: iso(month(0)),
          end: iso(month(1)),
          add: '2',
        },
      ],
      ready: [],
    });
    await write(Array.from({ length: 60 }, () => randomEvent(random, today, today + HOUR)));
    await previous.close(today);
    await previous.pack();
    // Late, on the second day and beside the packed first one. Nobody refreshes it before the upgrade.
    const late = [today - 3 * DAY, today - 2 * DAY].flatMap((from) =>
      Array.from({ length: 5 }, () => randomEvent(random, from + HOUR, from + 2 * HOUR)),
    );
    await write(late);
    if (database.engine === 'timescale') {
      const packed = await client.query(
        'select relation, state from retention_chunk where state > 0 order by 1',
      );
      expect(packed.rows).toEqual([
        { relation: 'event', state: 2 },
        { relation: 'usage_30s', state: 1 },
      ]);
    }
    return { model, random, late };
  }

  async function upgrade(): Promise<string[]> {
    const client = new pg.Client(database.url);
    await client.connect();
    try {
      return await migrate(client);
    } finally {
      await client.end();
    }
  }

  it('leaves every sum, window and message as it is, and goes on from there', async () => {
    const today = Math.floor(Date.now() / DAY) * DAY;
    const { model, random, late } = await leftBehind(today);
    const sql = previous!.client;
    const outbox =
      'select id, message_id, type, tenant_id, customer_id, payload, created_at from outbox order by id';
    const windows = 'select bucket, tenant_id, customer_id, revision from late_window order by 1, 2, 3';
    const state = 'select closed_until from window_state';
    const found = async () =>
      [await sql.query(outbox), await sql.query(windows), await sql.query(state)] as const;
    const before = await found();
    expect(before[0].rows.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['window.closed', 'window.revised', 'record.processed']),
    );

    const applied = await upgrade();
    expect(applied).toContain('0023_latency_sketch');
    const after = await found();
    expect(after.map(({ rows }) => rows)).toEqual(before.map(({ rows }) => rows));
    expect(await upgrade()).toEqual([]);
    // What was rolled up stays as it is: what percentiles it has is told by the next test.
    const refined = `select count(*)::int as rows from usage_1d where latency_sketch is not null and bucket < $1`;
    expect((await sql.query(refined, [iso(today)])).rows).toEqual([{ rows: 0 }]);

    t = await startServiceOn(database, {
      ...CLOSED_BY_HAND,
      CLOSER_INTERVAL_MS: '100',
      COLUMNSTORE_AFTER_DAYS: '0',
    });
    const { key } = await createKey(t.sql, { tenantId: TENANT, scopes: ['ingest', 'read'] });
    const tenant = { id: TENANT, key };
    const ask = (path: string, by: string) => t!.call('GET', path, { key: by });
    const exact = (views = USAGE_VIEWS) =>
      expectExact(ask, tenant, model, today - 3 * DAY, today + 6 * HOUR, views, 'coarse too');
    const some = USAGE_VIEWS.filter(
      ({ granularity, timezone }) => /30s|1h|1d/.test(granularity) && timezone === 'UTC',
    );
    const sessions = async () => {
      for (const id of ['invoice', 'order-1', 'order-2']) {
        expect((await ask(`/v1/sessions/${id}`, key)).body, id).toEqual(model.session(id));
      }
    };
    await exact();
    await sessions();
    const days = async () => {
      const range = `from=${iso(today - 3 * DAY)}&to=${iso(today)}&granularity=1d`;
      return (await allPages(ask, `/v1/usage?${range}`, key)).map(({ latency }) => latency.precision);
    };

    // Ingest, late and in time; a record that goes on from the tally; closing and refreshing.
    const fresh = [
      ...late
        .slice(0, 5)
        .map((event) => anEvent({ timestamp: event.timestamp, customerId: event.customerId })),
      ...Array.from({ length: 40 }, () => randomEvent(random, today - 3 * DAY, today + HOUR)),
      anEvent({
        timestamp: iso(today - DAY + HOUR),
        customerId: 'alice',
        eventType: 'negative',
        value: '1',
        reference: 'invoice',
      }),
      anEvent({ timestamp: iso(today - DAY + HOUR), customerId: 'metered' }),
    ];
    const answer = await t.call('POST', '/v1/events', { key, body: fresh });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    model.add(fresh);
    await exact(some);
    await sessions();
    const { rows: records } = await t.sql.query(
      `select payload -> 'summary' ->> 'total' as total from outbox
       where type = 'record.processed' and payload -> 'record' ->> 'reference' = 'invoice' order by id desc limit 1`,
    );
    expect(records).toEqual([{ total: '-0.25' }]); // of those before it
    expect((await t.sql.query('select customer_id, total from usage_tally')).rows).toEqual([
      { customer_id: 'metered', total: '3' },
    ]);
    await closeUpTo(t.sql, Math.floor(Date.now() / WINDOW) * WINDOW + HOUR);
    await until(async () => {
      const { rows } = await t!.sql.query(
        `select exists (select from late_window where stale or stale_references and bucket < refreshed_1d) as stale,
           (select announced_until from window_announcement) < closed_until as silent,
           $1 and refreshed_30s < closed_until as behind from window_state`,
        [database.engine === 'timescale'],
      );
      return !Object.values(rows[0]).some(Boolean);
    }, 60_000);
    const served = await exact(some);
    await sessions();
    const revised = new Map(
      before[1].rows.map((row) => [`${iso(+row.bucket)} ${row.customer_id}`, row.revision]),
    );
    for (const event of late.slice(0, 5)) {
      const start = iso(Math.floor(Date.parse(event.timestamp) / WINDOW) * WINDOW);
      const window = served.find((w) => w.windowStart === start && w.customerId === event.customerId);
      expect(window.revision).toBeGreaterThan(revised.get(`${start} ${event.customerId}`)!);
    }

    // What docs/operations.md says to do for finer percentiles.
    const page = await readMarkdown('docs/operations.md');
    const statements = blockNamed(page, `finer ${database.engine}`)
      .replaceAll('2026-11-01', iso(today - 3 * DAY).slice(0, 10))
      .replaceAll('2026-11-08', iso(today).slice(0, 10));
    for (const statement of statements.split(/;\s*$/m)) if (statement.trim()) await t.sql.query(statement);
    await exact();
    expect(await days()).toEqual(['fine', 'fine', 'fine']);
  });

  it('tells which percentiles are coarse; those of what comes afterwards are not', async () => {
    const today = Math.floor(Date.now() / DAY) * DAY;
    database = await createEmptyDatabase();
    previous = await PreviousVersion.install(database.url, today - 2 * DAY);
    await previous.client.query(`insert into tenant (id, name) values ($1, 'Old')`, [TENANT]);
    const old = [234, 20, 1_500, 700, 20].map((latencyMs, i) =>
      anEvent({ timestamp: iso(today - 2 * DAY + i), metadata: { latencyMs } }),
    );
    const single = anEvent({ timestamp: iso(today - 2 * DAY + 6 * HOUR), metadata: { latencyMs: 234 } });
    await previous.write(TENANT, [...old, single]);
    await previous.close(today);
    await upgrade();

    t = await startServiceOn(database, CLOSED_BY_HAND);
    const { key } = await createKey(t.sql, { tenantId: TENANT, scopes: ['ingest', 'read'] });
    const added = [3, 300, 31, 3_000].map((latencyMs, i) =>
      anEvent({ timestamp: iso(today - DAY + i), metadata: { latencyMs } }),
    );
    expect((await t.call('POST', '/v1/events', { key, body: added })).status).toBe(200);
    const latencies = async (granularity: string, from: number, to: number) => {
      const path = `/v1/usage?from=${iso(from)}&to=${iso(to)}&granularity=${granularity}`;
      const data = await allPages((url, by) => t!.call('GET', url, { key: by }), path, key);
      return data.map(({ latency }) => latency);
    };
    for (const granularity of ['30s', '1m', '5m', '15m', '1h']) {
      const [first, one, second] = await latencies(granularity, today - 2 * DAY, today);
      expect(first, granularity).toMatchObject({
        count: 5,
        maxMs: 1_500,
        minMs: null,
        precision: 'coarse',
        p99Ms: 1_500,
      });
      expect(first.p50Ms).toBeGreaterThan(100); // the class of 234
      expect(first.p50Ms).toBeLessThanOrEqual(250);
      expectPercentiles(one, [234], granularity);
      expectPercentiles(second, [3, 31, 300, 3_000], granularity);
    }
    const [month] = await latencies(
      '1mo',
      Date.UTC(new Date(today - 2 * DAY).getUTCFullYear(), new Date(today - 2 * DAY).getUTCMonth()),
      today,
    );
    expect(month).toMatchObject({ precision: 'coarse', minMs: null });
  });
});
