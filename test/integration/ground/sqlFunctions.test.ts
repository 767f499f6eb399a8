import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { readSchemaState, requireSchema } from '../../../src/ground/db/schemaState.ts';
import { compareFunctions, FUNCTIONS, readFunctions } from '../../../src/ground/db/sqlFunctions.ts';
import {
  createEmptyDatabase,
  createTestDatabase,
  describeEngine,
  type TestDatabase,
} from '../../support/database.ts';
import { PreviousVersion } from '../../support/previousVersion.ts';

/** Migrations of the last version that kept its functions in them. */
const BEFORE_FILES = 22;

/** Our functions, and what a replacement may get wrong about each. */
const CATALOG = `
  select p.oid::regprocedure::text as signature, p.proname as name, pg_get_functiondef(p.oid) as definition,
    p.proowner::regrole::text as owner, obj_description(p.oid, 'pg_proc') as comment,
    (select array_agg(format('%s %s', case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
                             a.privilege_type) order by 1)
     from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a) as granted
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('public', 'tenant_data') and p.prokind <> 'a'
    and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  order by 1`;

/** Which rows of the catalog, and of what is noted about them, are the same as before. */
const ROWS = `
  select p.proname as name, p.xmin::text as made, f.xmin::text as noted
  from pg_proc p join sql_function f on f.name = p.proname
  where p.pronamespace in ('public'::regnamespace, 'tenant_data'::regnamespace) order by 1`;

describeEngine('the functions of the database', () => {
  const engine = inject('engine');
  let shared: TestDatabase;
  let client: pg.Client;
  let fresh: object[];
  const connect = async ({ url }: TestDatabase) => {
    const opened = new pg.Client(url);
    await opened.connect();
    return opened;
  };
  const catalog = async (db: pg.Client) => (await db.query(CATALOG)).rows;
  const rows = async (db: pg.Client) => (await db.query(ROWS)).rows;
  beforeAll(async () => {
    shared = await createTestDatabase();
    client = await connect(shared);
    fresh = await catalog(client);
  });
  afterAll(async () => {
    await client?.end();
    await shared?.drop();
  });
  /** Works on an empty database of its own. */
  const onEmptyDatabase = async (work: (own: pg.Client, url: string) => Promise<void>) => {
    const database = await createEmptyDatabase();
    try {
      const own = await connect(database);
      await work(own, database.url).finally(() => own.end());
    } finally {
      await database.drop();
    }
  };

  it('are those of the files, one each, and each file makes just that one', async () => {
    const there = await catalog(client);
    const files = readFunctions(engine);
    expect(there.map(({ name }) => name).sort()).toEqual(files.map(({ name }) => name));
    expect(new Set(there.map(({ owner }) => owner))).toEqual(new Set(['tidemark_owner']));

    await client.query('begin');
    await client.query(`select set_config('search_path', 'public, pg_temp', true)`);
    await client.query('set local role tidemark_owner');
    const made = new Set<string>();
    for (const { name, text } of files) {
      await client.query(text);
      const { rows: touched } = await client.query(
        'select proname as name from pg_proc where xmin = pg_current_xact_id()::xid',
      );
      expect(touched.map((row) => row.name).filter((other) => !made.has(other))).toEqual([name]);
      made.add(name);
    }
    expect(await catalog(client)).toEqual(there);
    await client.query('rollback');
  });

  it.each([
    ['the version before the last', undefined],
    ['the last version that had them in migrations', BEFORE_FILES],
  ])('are the same in a database that %s has made', async (_, migrations) => {
    await onEmptyDatabase(async (own, url) => {
      const previous = await PreviousVersion.install(url, Date.now(), migrations);
      await previous.end();
      expect((await readSchemaState(own)).pending).toContain('0024_sql_functions');
      expect(await catalog(own)).not.toEqual(fresh);
      await migrate(own);
      expect(await catalog(own)).toEqual(fresh);
      expect(await migrate(own)).toEqual([]);
    });
  });

  it('are made in the schema of the service, whatever it is called', async () => {
    await onEmptyDatabase(async (own) => {
      await own.query('create schema metering; set search_path = metering, public');
      await migrate(own);
      const { rows: found } = await own.query(
        `select p.pronamespace::regnamespace::text as schema, p.proconfig from pg_proc p
         where p.proname in ('add_to_counters', 'close_windows') order by p.proname`,
      );
      expect(found).toEqual([
        { schema: 'metering', proconfig: ['search_path=metering, pg_temp'] },
        { schema: 'metering', proconfig: null },
      ]);
      expect((await own.query('show search_path')).rows).toEqual([{ search_path: 'metering, public' }]);
    });
  });

  describe('where a file has changed', () => {
    let next: string;
    /** The files of a version to come. */
    beforeEach(async () => {
      next = await mkdtemp(join(tmpdir(), 'functions-'));
      await cp(FUNCTIONS, next, { recursive: true });
    });
    afterEach(async () => {
      await rm(next, { recursive: true });
      await client.query('rollback; reset lock_timeout; update sql_function set revision = 0');
      await migrate(client);
      expect(await catalog(client)).toEqual(fresh);
    });

    /** One more revision of a function, its text put through `change`. */
    const revise = async (name: string, change: (text: string) => string) => {
      const file = join(next, `${name}.sql`);
      const text = await readFile(file, 'utf8');
      const revision = Number(/^-- revision (\d+)/.exec(text)![1]);
      const changed = change(text).replace(/^-- revision \d+/, `-- revision ${revision + 1}`);
      expect(changed).not.toBe(text);
      await writeFile(file, changed);
    };
    const inMicroseconds = (text: string) => text.replace('SS.MS', 'SS.US');
    const written = async () =>
      (await client.query(`select iso8601('2026-01-02 03:04:05.6Z') as at`)).rows[0].at;

    it('have it from the next start on, once, and nothing else is touched', async () => {
      const before = await rows(client);
      expect(await migrate(client)).toEqual([]);
      expect(await rows(client)).toEqual(before);
      const granted = (await catalog(client)).map(({ definition: _, ...rest }) => rest);

      await revise('iso8601', inMicroseconds);
      expect((await compareFunctions(client, next)).pending.map(({ name }) => name)).toEqual(['iso8601']);
      expect(await migrate(client, next)).toEqual(['function iso8601']);
      expect(await written()).toBe('2026-01-02T03:04:05.600000Z');
      const after = await rows(client);
      const moved = after.filter((row, i) => row.made !== before[i].made || row.noted !== before[i].noted);
      expect(moved.map(({ name }) => name)).toEqual(['iso8601']);
      expect((await catalog(client)).map(({ definition: _, ...rest }) => rest)).toEqual(granted);

      expect(await migrate(client, next)).toEqual([]);
      expect(await rows(client)).toEqual(after);
    });

    it('have it once when two instances start at a time', async () => {
      await revise('iso8601', inMicroseconds);
      const other = await connect(shared);
      const applied = await Promise.all([client, other].map((each) => migrate(each, next)));
      await other.end();
      expect(applied.map((names) => names.length).sort()).toEqual([0, 1]);
      expect(await written()).toBe('2026-01-02T03:04:05.600000Z');
    });

    it('have it once when the server begins transactions with one snapshot', async () => {
      await revise('iso8601', inMicroseconds);
      const others = await Promise.all([connect(shared), connect(shared), connect(shared)]);
      for (const other of others) await other.query(`set default_transaction_isolation = 'repeatable read'`);
      const applied = await Promise.all(others.map((each) => migrate(each, next)));
      await Promise.all(others.map((other) => other.end()));
      expect(applied.flat()).toEqual(['function iso8601']);
    });

    it('keep it when an instance of the version before starts again, which goes on with it', async () => {
      await revise('iso8601', inMicroseconds);
      await migrate(client, next);
      expect(await migrate(client)).toEqual([]);
      expect(await written()).toBe('2026-01-02T03:04:05.600000Z');
      expect((await readSchemaState(client)).functions).toEqual({ pending: [], newer: ['iso8601'] });
      await requireSchema(client);
    });

    it('are replaced under batches of instances of the version before, which wait for nothing', async () => {
      const batch = await connect(shared);
      const enter = `select closed_until from begin_batch('infinity', (select interest_version from window_state))`;
      await batch.query('begin');
      await batch.query(enter);
      await revise('begin_batch', (text) => text.replace('a window of this batch', 'a window of the batch'));
      await client.query(`set lock_timeout = '1s'`);
      expect(await migrate(client, next)).toEqual(['function begin_batch']);
      await batch.query(enter);
      await batch.query('commit');
      await batch.end();
    });

    it('are all as they were when one of them is refused', async () => {
      const before = { there: await catalog(client), rows: await rows(client) };
      await revise('iso8601', inMicroseconds);
      await revise('write_messages', (text) => text.replace('begin\n', 'beginning\n'));
      const refused = /^the function write_messages cannot be put in: syntax error at or near/;
      await expect(migrate(client, next)).rejects.toThrow(refused);
      expect({ there: await catalog(client), rows: await rows(client) }).toEqual(before);

      await onEmptyDatabase(async (own) => {
        await expect(migrate(own, next)).rejects.toThrow(refused);
        const { rows: left } = await own.query(`select to_regclass('schema_migration') as table`);
        expect(left).toEqual([{ table: null }]);
      });
    });

    it('are told of as not up to date before', async () => {
      const { rows: older } = await client.query(
        `update sql_function set revision = 0, hash = 'before' where name in ('iso8601', 'close_windows') returning 1`,
      );
      expect(older).toHaveLength(2);
      expect((await readSchemaState(client)).functions).toEqual({
        pending: ['close_windows', 'iso8601'],
        newer: [],
      });
      await expect(requireSchema(client)).rejects.toThrow('not up to date: run "tidemark migrate"');
      expect(await migrate(client)).toEqual(['function close_windows', 'function iso8601']);
      await requireSchema(client);
    });
  });
});
