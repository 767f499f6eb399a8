import { readdirSync } from 'node:fs';
import pg from 'pg';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { MIGRATIONS } from '../../../src/ground/db/schemaState.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { PreviousVersion } from '../../support/previousVersion.ts';
import { startServiceOn, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const TENANT = 'old';
/** Migrations of the last version whose functions stood in them. */
const BEFORE = readdirSync(MIGRATIONS).filter((name) => /^\d{4}_/.test(name) && name < '0027').length;

describeEngine('an upgrade to sums of revisions', () => {
  let database: TestDatabase;
  let previous: PreviousVersion;
  let sql: pg.Pool;
  let today: number;
  beforeEach(async () => {
    database = await createEmptyDatabase();
    today = Math.floor(Date.now() / DAY) * DAY;
    previous = await PreviousVersion.install(database.url, today, BEFORE);
    sql = new pg.Pool({ connectionString: database.url });
    sql.on('error', () => undefined);
  });
  afterEach(async () => {
    await previous.end().catch(() => undefined);
    await sql.end();
    await database.drop();
  });

  /** Some windows of an hour of each of the last days, of two customers. */
  const late = (windows: number): ClientEvent[] =>
    Array.from({ length: windows }, (_, i) =>
      anEvent({
        timestamp: new Date(today - (1 + (i % 4)) * DAY + HOUR + i * WINDOW).toISOString(),
        customerId: i % 3 === 0 ? 'alice' : 'bob',
      }),
    );
  const upgrade = async () => {
    const client = new pg.Client(database.url);
    await client.connect();
    await migrate(client).finally(() => client.end());
  };
  const cover = async () => {
    while ((await previous.client.query(`select more from cover_activity('1 day', 1000)`)).rows[0].more);
  };
  const one = async (query: string) => (await sql.query(query)).rows[0];

  it('answers as before at once, adds up what there was, and what the version before covers', async () => {
    await previous.client.query(`insert into tenant (id, name) values ($1, 'Old')`, [TENANT]);
    const first = late(60);
    await previous.write(TENANT, first);
    await cover();
    await previous.write(
      TENANT,
      first.slice(0, 20).map(({ timestamp, customerId }) => anEvent({ timestamp, customerId })),
    );
    const began = await sql.connect();
    await began.query('begin isolation level repeatable read; select from window_coverage');
    await upgrade();
    expect(await one('select summed_from::text from late_window_summed')).toEqual({
      summed_from: 'infinity',
    });
    await expect(began.query(`select * from cover_activity('1 day', 1000)`)).rejects.toMatchObject({
      code: '40001',
    });
    await began.query('rollback');
    began.release();
    await cover(); // not summed yet: nothing to add it to
    expect(await one('select count(*)::int as sums from late_window_sum')).toEqual({ sums: 0 });

    const t = await startServiceOn(database, { CLOSER_INTERVAL_MS: '100' });
    onTestFinished(async () => {
      await t.service.close();
      await t.sql.end();
    });
    const { key } = await createKey(t.sql, { tenantId: TENANT, scopes: ['ingest', 'read', 'admin'] });
    const body = { slug: 'calls', eventType: 'api.request', aggregation: 'count' };
    expect((await t.call('POST', '/v1/meters', { key, body })).status).toBe(201);
    const revisions = async () => {
      const range = `from=${new Date(today - 4 * DAY).toISOString()}&to=${new Date(today).toISOString()}`;
      const { body } = await t.call('GET', `/v1/meters/calls/query?${range}&groupBy=customer`, { key });
      return Object.fromEntries(
        body.data.map((row: { customerId: string; revision: number }) => [row.customerId, row.revision]),
      );
    };
    const before = { alice: 20 + 7, bob: 40 + 13 };
    expect(await revisions()).toEqual(before);
    await until(
      async () => (await one('select summed_from::text from late_window_summed')).summed_from === '-infinity',
    );
    expect(await revisions()).toEqual(before);
    const sums = `select sum(revision) filter (where customer_id = '')::int as hours, sum(revision) filter (where customer_id <> '')::int as days,
      count(*) filter (where customer_id = '')::int as of_hours, count(*) filter (where customer_id <> '')::int as of_days from late_window_sum`;
    expect(await one(sums)).toEqual({ hours: 80, days: 80, of_hours: 4, of_days: 8 });

    expect((await t.call('POST', '/v1/events', { key, body: late(60) })).status).toBe(200);
    const after = { alice: 47, bob: 93 };
    expect(await revisions()).toEqual(after);
    await cover();
    await until(async () => (await one(sums)).hours === 140);
    expect(await one(sums)).toEqual({ hours: 140, days: 140, of_hours: 4, of_days: 8 });
    expect(await revisions()).toEqual(after);
  });
});
