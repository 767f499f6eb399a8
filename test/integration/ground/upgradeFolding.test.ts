import { readdirSync } from 'node:fs';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { MIGRATIONS } from '../../../src/ground/db/schemaState.ts';
import { foldWindows } from '../../../src/sums/windows/foldWindows.ts';
import { closeUpTo } from '../../support/closing.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { PreviousVersion } from '../../support/previousVersion.ts';
import { until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const WINDOW = 30_000;
const DAY = 86_400_000;
const TENANT = 'old';
const iso = (ms: number) => new Date(ms).toISOString();
/** Migrations of the last version whose batches wrote hours and days themselves: all since then are one transaction. */
const BEFORE = readdirSync(MIGRATIONS).filter((name) => /^\d{4}_/.test(name) && name < '0025').length;

describe.runIf(inject('engine') === 'postgres')('on postgres', () => {
  describeEngine('an upgrade to folded hours', () => {
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

    /** Events at windows before and after the one that is open, one of each. */
    const at = (...windows: number[]): ClientEvent[] =>
      windows.map((n) => anEvent({ timestamp: iso(open + n * WINDOW), metadata: { latencyMs: 100 } }));
    const upgrade = async () => {
      const client = new pg.Client(database.url);
      await client.connect();
      try {
        return await migrate(client);
      } finally {
        await client.end();
      }
    };
    const sums = async () => {
      const { rows } = await sql.query(
        `select (select count(*)::int from event) as events, (select sum(calls)::int from usage_30s) as windows,
           (select sum(calls)::int from usage_1h) as hours, (select sum(calls)::int from usage_1d) as days,
           (select count(*)::int from (select from usage_1d group by bucket, customer_id, endpoint) as key) as keys,
           (select count(*)::int from usage_1d) as rows`,
      );
      return rows[0];
    };
    const all = (n: number) => expect.objectContaining({ events: n, windows: n, hours: n, days: n });
    const closeAndFold = async (windows: number) => {
      await closeUpTo(sql, open + windows * WINDOW);
      const client = await sql.connect();
      try {
        while (await foldWindows(client, 1));
      } finally {
        client.release();
      }
    };

    it('counts what was there once, and what comes after it: late, in open windows and ahead', async () => {
      await previous.write(TENANT, at(-5_000, -3, -2, -1, 0, 0, 1, 7));
      expect(await sums()).toEqual(all(8));
      expect(await upgrade()).toContain('0027_folded_hours');
      expect(await sums()).toEqual(all(8));
      await previous.write(TENANT, at(-5_000, -1, 0, 3, 7, 8, 9)); // an instance of before goes on
      expect(await sums()).toEqual(all(15));
      for (const windows of [0, 2, 8, 9, 12]) {
        await closeAndFold(windows);
        expect(await sums()).toEqual(all(15));
      }
      const { rows } = await sql.query('select sum(calls)::int as n from usage_1h_folded');
      expect(rows[0].n).toBe(15);
      await previous.write(TENANT, at(-1, 3, 9, 12));
      const { keys, rows: found } = await sums();
      expect([await sums(), found]).toEqual([all(19), keys]);
    });

    it('waits for batches under way, which write hours themselves, and lets no other begin', async () => {
      await previous.write(TENANT, at(0));
      const [batch, next] = [await sql.connect(), await sql.connect()];
      const insert = (client: pg.PoolClient) =>
        client.query(
          `insert into event (ts, event_id, tenant_id, customer_id, event_type) values ($1, gen_random_uuid(), $2, 'c', 'x')`,
          [iso(open), TENANT],
        );
      const waiting = async (mode: string) => {
        const { rows } = await sql.query(
          `select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted and mode = $1
             and database = (select oid from pg_database where datname = current_database())`,
          [mode],
        );
        return rows[0].n === 1;
      };
      const enter = `select enter_batch('infinity', interest_version) from window_state`;
      await batch.query('begin');
      await batch.query(enter);
      const upgraded = upgrade();
      await until(() => waiting('ExclusiveLock'));
      await next.query('begin');
      const entered = next.query(enter);
      await until(() => waiting('ShareLock'));
      await insert(batch);
      await batch.query('commit');
      await upgraded;
      await entered;
      await insert(next);
      await next.query('commit');
      batch.release();
      next.release();
      expect(await sums()).toEqual(all(3));
      await closeAndFold(20);
      expect(await sums()).toEqual(all(3));
    });

    it('does not depend on how much there is: no table is rewritten, no index made', async () => {
      await previous.write(TENANT, at(-1, 0));
      const files = async (names: string[]) => {
        const { rows } = await sql.query(
          `select pg_relation_filenode(c::regclass) as file from unnest($1::text[]) as c`,
          [names],
        );
        return rows.map(({ file }) => file);
      };
      const indexes = ['usage_1h_customer', 'usage_1h_tenant', 'usage_1d_customer', 'usage_1d_tenant'];
      const tables = ['event', 'usage_30s', 'reference_1d'];
      const before = await files([...tables, 'usage_1h', 'usage_1d', ...indexes]);
      await upgrade();
      expect(await files([...tables, 'usage_1h_folded', 'usage_1d_folded', ...indexes])).toEqual(before);
    });
  });
});
