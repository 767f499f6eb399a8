import { readdirSync } from 'node:fs';
import pg from 'pg';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { MIGRATIONS } from '../../../src/ground/db/schemaState.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { makeMeter } from '../../support/meterSums.ts';
import { PreviousVersion } from '../../support/previousVersion.ts';
import { startServiceOn, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const WINDOW = 30_000;
const DAY = 86_400_000;
const TENANT = 'old';
/** Migrations of a version that knew of no meters, and the last one whose functions stood in them. */
const BEFORE = readdirSync(MIGRATIONS).filter((name) => /^\d{4}_/.test(name) && name < '0027').length;

describeEngine('an upgrade to meters', () => {
  let database: TestDatabase;
  let previous: PreviousVersion;
  let sql: pg.Pool;
  let open: number;
  beforeEach(async () => {
    database = await createEmptyDatabase();
    open = Math.floor(Date.now() / WINDOW) * WINDOW;
    previous = await PreviousVersion.install(database.url, open - 2 * DAY, BEFORE);
    sql = new pg.Pool({ connectionString: database.url });
    sql.on('error', () => undefined);
  });
  afterEach(async () => {
    await previous.end().catch(() => undefined);
    await sql.end();
    await database.drop();
  });

  const eventsOf = (tokens: number[]): ClientEvent[] =>
    tokens.map((n, i) =>
      anEvent({
        timestamp: new Date(open - i * 3 * 3_600_000).toISOString(),
        metadata: { tokens: n, model: 'a' },
      }),
    );

  it('goes on beside the version before until there is a meter, which then has all that was there', async () => {
    await previous.client.query(`insert into tenant (id, name) values ($1, 'Old')`, [TENANT]);
    await previous.client.query(
      `update retention set keep = interval '40 days', kept_from = '2020-01-02', removed_to = '2020-01-02' where relation = 'usage_30s'`,
    );
    await previous.write(TENANT, eventsOf([1, 2, 3, 4, 5, 6, 7, 8]));
    const client = new pg.Client(database.url);
    await client.connect();
    await migrate(client).finally(() => client.end());
    const kept = await sql.query(
      `select relation, extract(day from keep)::int as days, kept_from = '2020-01-02' as cut from retention where relation like 'meter%' order by 1`,
    );
    expect(kept.rows).toEqual([
      { relation: 'meter_1d', days: null, cut: false },
      { relation: 'meter_1h', days: null, cut: false },
      { relation: 'meter_30s', days: 40, cut: true },
    ]);
    await previous.write(TENANT, eventsOf([100]));
    const id = await makeMeter(sql, TENANT, 'tokens', {
      eventType: 'api.request',
      aggregation: 'sum',
      value: '$.tokens',
      dimensions: { model: '$.model' },
    });
    await expect(previous.write(TENANT, eventsOf([1_000]))).rejects.toMatchObject({ code: 'TM004' });
    await previous.client.query('rollback');
    const t = await startServiceOn(database);
    onTestFinished(async () => {
      await t.service.close();
      await t.sql.end();
    });
    const sums = async () => {
      const { rows } = await sql.query(
        `select (select sum(sum)::float8 from meter_30s where customer_id = '' and series_id = $1) as windows,
           (select sum(sum)::float8 from meter_1d where customer_id = '' and series_id = $1) as days`,
        [id],
      );
      return rows[0];
    };
    await until(async () => (await sums()).windows === 136);
    expect(await sums()).toEqual({ windows: 136, days: 136 });
  });
});
