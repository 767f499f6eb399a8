import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { INDEX_QUERIES } from '../../support/indexQueries.ts';
import { readMarkdown } from '../../support/markdown.ts';
import {
  fillIn,
  inContext,
  migrationName,
  type Placeholders,
  seedForPlans,
  usedIndexes,
} from '../../support/seedForPlans.ts';

const EVENTS = 100_000;

describeEngine('docs/data-model.md', () => {
  const engine = inject('engine');
  const queries = INDEX_QUERIES.filter(({ only }) => only === undefined || only === engine);
  let database: TestDatabase;
  let sql: pg.Client;
  let page: string;
  let values: Placeholders;
  beforeAll(async () => {
    page = await readMarkdown('docs/data-model.md');
    database = await createTestDatabase();
    sql = new pg.Client(database.url);
    await sql.connect();
    values = await seedForPlans(sql, EVENTS);
  }, 240_000);
  afterAll(async () => {
    await sql?.end();
    await database?.drop();
  });

  /** Indexes by the names that the migrations gave them: those of hypertables and rollups are repeated on each chunk. */
  const indexes = async () => {
    const { rows } = await sql.query<{ name: string }>(
      `select i.relname as name from pg_index x join pg_class i on i.oid = x.indexrelid join pg_namespace n on n.oid = i.relnamespace
       where (n.nspname = 'public' or n.nspname = '_timescaledb_internal' and i.relname ~ '^(usage|reference|event|_materialized)_')
         and i.relname !~ '_chunk_' order by 1`,
    );
    return rows.map(({ name }) => migrationName(name));
  };
  /** Names in the first column of the tables of indexes. */
  const named = () => [
    ...page.slice(page.indexOf('## Indexes')).matchAll(/^\| `(\w+)`(?: \((postgres|timescale)\))? \|/gm),
  ];

  it('names every index there is, and none that is not', async () => {
    const onPage = named()
      .filter(([, , only]) => only === undefined || only === engine)
      .map(([, name]) => name!);
    const there = await indexes();
    const how =
      'add it to test/support/indexQueries.ts with the query that needs it, and run: npm run docs:plans';
    expect(
      there.filter((name) => !onPage.includes(name)),
      `indexes that the page lacks: ${how}`,
    ).toEqual([]);
    expect(
      onPage.filter((name) => !there.includes(name)),
      'indexes that are gone: take them out of test/support/indexQueries.ts, and run: npm run docs:plans',
    ).toEqual([]);
    expect(new Set(onPage)).toEqual(new Set(queries.map(({ index }) => index)));
  });

  it('names every table and view', async () => {
    const { rows } = await sql.query<{ name: string }>(
      `select relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('public', 'tenant_data') and relkind in ('r', 'v', 'm')
         and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')`,
    );
    const missing = rows.map(({ name }) => name).filter((name) => !page.includes(`\`${name}\``));
    expect(missing, 'say in docs/data-model.md what these relations are').toEqual([]);
  });

  describe.each(queries.filter(({ sql }) => sql).map((query) => [query.index, query] as const))(
    '%s',
    (name, query) => {
      it('is what its query uses', async () => {
        const statement = fillIn(query.sql!, values);
        const used = await inContext(sql, query.as, () => usedIndexes(sql, statement));
        expect(used, statement).toContain(name);
      });
    },
  );
});
