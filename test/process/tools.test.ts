import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { withDatabase } from '../support/databaseUrl.ts';
import { runFolder } from '../support/runFolder.ts';
import { startTidemark } from '../support/runTidemark.ts';

/* The command line tools as processes: what they print, and their exit codes. */

let database: TestDatabase;
let folder: string;
let big: string;

beforeAll(async () => {
  await buildProgram();
  database = await createTestDatabase();
  folder = await mkdtemp(join(await runFolder(), 'tools-'));
  const rows = Array.from({ length: 300_000 }, (_, i) => `2024-03-01 00:00:00,${i}\n`);
  big = await file('big.csv', `time,n\n${rows.join('')}`);
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

function start(tool: 'import' | 'migrate', args: string[], env: Record<string, string> = {}) {
  const ours = { DATABASE_URL: database.url, DATA_DIR: join(folder, 'data') };
  return startTidemark([tool, ...args], { ...ours, ...env });
}

const run = (...args: Parameters<typeof start>) => start(...args).ended;

const FLAGS = [
  ...['--tenant', 'acme', '--create-tenant', '--customer', 'c', '--endpoint', '/x'],
  ...['--map', 'timestamp=time', '--map', 'tokens=n'],
];

test('migrate says what it has done', async () => {
  expect(await run('migrate', [])).toMatchObject({ code: 0, out: 'the schema is up to date\n', err: '' });
  const name = `${new URL(database.url).pathname.slice(1)}_empty`;
  const client = new pg.Client(database.url);
  await client.connect();
  try {
    await client.query(`create database ${name}`);
    const url = withDatabase(database.url, name);
    const { code, out } = await run('migrate', [], { DATABASE_URL: url });
    expect(code).toBe(0);
    expect(out).toMatch(/^(applied \d{4}_\w+\n)+(applied function \w+\n)+$/);
    await client.query(`drop database ${name} with (force)`);
  } finally {
    await client.end();
  }
});

test('no database: one line and exit code 1', async () => {
  const env = { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' };
  for (const ended of [run('migrate', [], env), run('import', [big, ...FLAGS], env)]) {
    expect(await ended).toMatchObject({
      code: 1,
      out: '',
      err: 'tidemark: the database at 127.0.0.1:1/none cannot be used: nothing answers there\n',
    });
  }
});

test('wrong flags and files: one line, and exit code 2 where the command line itself is wrong', async () => {
  const path = await file('one.csv', 'time,n\n2024-03-01 00:00:00,1\n');
  const cases: [string[], string, number][] = [
    [[path], "error: required option '--tenant <id>' not specified\n", 2],
    [[path, ...FLAGS, '--delimiter', 'ab'], 'one character is needed', 2],
    [[path, ...FLAGS, '--map', 'colour=n'], 'tidemark: --map: colour is none of', 2],
    [[path, '--tenant', 'none', ...FLAGS.slice(3)], 'tidemark: there is no tenant none; --create-tenant', 1],
    [[join(folder, 'missing.csv'), ...FLAGS], 'there is no such file', 1],
  ];
  for (const [args, message, status] of cases) {
    const { code, out, err } = await run('import', args);
    expect({ code, out }).toEqual({ code: status, out: '' });
    expect(err).toContain(message);
    expect(err.trimEnd()).not.toContain('\n');
  }
});

test('import sums up; bad lines within --max-errors leave the exit code 0, beyond it is 1', async () => {
  const path = await file('bad.csv', 'time,n\n2024-03-01 00:00:00,1\nnever,2\n2024-03-01 00:00:01,3\n');
  const within = await run('import', [path, ...FLAGS]);
  expect(within.code).toBe(0);
  expect(within.out).toMatch(
    /^ {2}rows read {2}3\n {2}stored {5}2\n {2}duplicates 0\n {2}bad lines {2}1\n {2}seconds {4}[\d.]+ \([\d,]+ rows\/s\)\n {2}id prefix {2}[0-9a-f]{12}$/m,
  );
  expect(within.err).toBe(
    'line 3: /timestamp timestamp_invalid: must be an ISO 8601 date-time; without a zone it is taken as UTC\n' +
      'done, without the 1 bad lines (--max-errors 100)\n',
  );
  const beyond = await run('import', [path, ...FLAGS, '--max-errors', '0']);
  expect(beyond.code).toBe(1);
  expect(beyond.err).toContain(
    'stopped: 1 bad lines are more than --max-errors 0; resume with --from-line 3\n',
  );
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s: finishes what is under way and says where to resume',
  async (signal) => {
    const { child, ended } = start('import', [big, ...FLAGS]);
    const client = new pg.Client(database.url);
    await client.connect();
    const stored = async () => {
      const { rows } = await client.query(
        `select count(*)::int as n from event where tenant_id = 'acme' and ts = '2024-03-01 00:00:00Z'`,
      );
      return rows[0].n as number;
    };
    try {
      const before = await stored();
      while ((await stored()) === before && child.exitCode === null);
      child.kill(signal);
      const { code, err } = await ended;
      expect(code).toBe(130);
      const line = Number(/^interrupted; resume with --from-line (\d+)$/m.exec(err)?.[1]);
      expect(await stored()).toBeGreaterThanOrEqual(line - 2);
      expect(line).toBeGreaterThan(1_000);
      expect(line).toBeLessThan(300_000);
    } finally {
      await client.end();
    }
  },
);

test('killed and run again: each event counts once, each closed window is revised and told of once', async () => {
  const rows = 30_000;
  const times = Array.from({ length: rows }, (_, i) =>
    new Date(Date.UTC(2024, 0, 1) + i * 30_000).toISOString(),
  );
  const path = await file('windows.csv', `time,n\n${times.map((time) => `${time},1\n`).join('')}`);
  const args = [path, '--tenant', 'killed', ...FLAGS.slice(3)];
  const client = new pg.Client(database.url);
  await client.connect();
  try {
    await client.query(`
      insert into tenant (id, name) values ('killed', 'whose import is killed');
      insert into subscription (tenant_id, message_types, stream) values ('killed', '{window.revised}', 'out')`);
    const stored = async () => {
      const found = await client.query(`select count(*)::int as n from event where tenant_id = 'killed'`);
      return found.rows[0].n as number;
    };
    const { child, ended } = start('import', args);
    while ((await stored()) === 0 && child.exitCode === null);
    child.kill('SIGKILL');
    await ended;
    expect(await stored()).toBeLessThan(rows);

    const again = await run('import', args);
    expect(again.err).toMatch(/rows? (was|were) known/);
    expect(again.code).toBe(0);
    const { rows: found } = await client.query(
      `select (select count(*)::int from event where tenant_id = 'killed') as events,
         (select sum(calls)::int from usage_1d where tenant_id = 'killed') as calls,
         (select count(*)::int from late_window where tenant_id = 'killed' and revision = 1) as windows,
         count(*)::int as messages, count(distinct payload ->> 'windowStart')::int as told,
         sum((payload #>> '{aggregations,totalTokens}')::int)::int as tokens
       from outbox where tenant_id = 'killed' and type = 'window.revised'`,
    );
    expect(found).toEqual([
      { events: rows, calls: rows, windows: rows, messages: rows, told: rows, tokens: rows },
    ]);
  } finally {
    await client.end();
  }
});

test('the help tells the rules of ids and exit codes', async () => {
  const { code, out } = await run('import', ['--help']);
  expect(code).toBe(0);
  for (const part of ['Event ids.', 'Exit codes:', '--from-line', '--map timestamp=TIMESTAMP']) {
    expect(out).toContain(part);
  }
});
