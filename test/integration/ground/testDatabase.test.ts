import pg from 'pg';
import { expect, it } from 'vitest';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { createEmptyDatabase, createTestDatabase, describeEngine } from '../../support/database.ts';
import { MIGRATED_NOW } from '../../support/templateDatabase.ts';

const MOMENT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^"]*/g;
const AGE_MS = 3 * 86_400_000;
/** Between the two, on a busy machine. */
const APART_MS = 25_000;

describeEngine('a database of a test', () => {
  it('holds what one holds that has just been migrated, however old its template is', async () => {
    const migrated = await createEmptyDatabase();
    const copied = await createTestDatabase();
    try {
      const copy = await within(copied.url, async (client) => {
        await age(client);
        const old = await rowsOf(client);
        await client.query(MIGRATED_NOW);
        return { old, rows: await rowsOf(client) };
      });
      const fresh = await within(migrated.url, async (client) => {
        await migrate(client);
        return rowsOf(client);
      });
      expect(copy.rows.map(withoutMoments)).toEqual(fresh.map(withoutMoments));
      const moments = (rows: string[]) => rows.join('\n').match(MOMENT)!.map(Date.parse);
      const [told, expected] = [moments(copy.rows), moments(fresh)];
      // As far as the two are, or a window, an hour or a day further, where one has just begun.
      const apart = told.map((at, i) => Math.abs(at - expected[i]!)).filter((ms) => ms > APART_MS);
      for (const ms of apart) expect([30_000, 3_600_000, 86_400_000]).toContain(ms);
      expect(moments(copy.old).every((at, i) => at < expected[i]! - 86_400_000)).toBe(true);
    } finally {
      await Promise.all([migrated.drop(), copied.drop()]);
    }
  });
});

async function within<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function withoutMoments(row: string): string {
  return row.replace(MOMENT, 'then');
}

async function tablesOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname !~ '^(pg_|information_schema|_?timescaledb)' order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** Makes every moment in every row of ours older, past all triggers. */
async function age(client: pg.Client): Promise<void> {
  await client.query('set session_replication_role = replica');
  for (const table of await tablesOf(client)) {
    const { rows } = await client.query<{ name: string }>(
      `select quote_ident(attname) as name from pg_attribute
       where attrelid = $1::regclass and atttypid = 'timestamptz'::regtype and attnum > 0 and not attisdropped`,
      [table],
    );
    if (rows.length === 0) continue;
    const older = rows.map(({ name }) => `${name} = ${name} - interval '${AGE_MS} milliseconds'`);
    await client.query(`update ${table} set ${older.join(', ')}`);
  }
  await client.query('reset session_replication_role');
}

/** Every row of every table of ours, as text, but when each migration ran and what is random. */
async function rowsOf(client: pg.Client): Promise<string[]> {
  const found: string[] = [];
  for (const table of await tablesOf(client)) {
    const { rows } = await client.query<{ row: string }>(
      `select (to_jsonb(t) - 'run_on' - 'identity_secret')::text as row from ${table} t order by 1`,
    );
    found.push(...rows.map(({ row }) => `${table} ${row}`));
  }
  return found;
}
