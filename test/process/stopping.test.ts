import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { migrate } from '../../src/ground/db/migrate.ts';
import { buildProgram } from '../support/buildProgram.ts';
import { withDatabase } from '../support/databaseUrl.ts';
import { runFolder } from '../support/runFolder.ts';
import { until } from '../support/service.ts';
import { anEvent } from '../support/traffic.ts';
import { type Program, runProgram } from './support/runProgram.ts';

const ADMIN_KEY = 'tm_admin_key_of_the_process_tests';
/** More of them by hand. */
const RESTARTS = Number(process.env.STOPPING_RESTARTS ?? 3);
const ROWS = 600 * RESTARTS;
/** Starting takes a second, and much longer beside other tests. */
const START_MS = 60_000;

const programs: Program[] = [];
const databases: { server: string; name: string }[] = [];

beforeAll(buildProgram, 120_000);

afterEach(async () => {
  for (const { child, exited } of programs.splice(0)) {
    child.kill('SIGKILL');
    await exited;
  }
  for (const { server, name } of databases.splice(0))
    await query(server, `drop database if exists ${name} with (force)`);
});

async function query(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

async function newDatabase(server: string): Promise<string> {
  const name = `${inject('databasePrefix')}stop${databases.length}${process.pid}`;
  databases.push({ server, name });
  await query(server, `create database ${name}`);
  const url = withDatabase(server, name);
  const client = new pg.Client(url);
  await client.connect();
  await migrate(client);
  await client.end();
  return url;
}

function start(url: string, args: string[], env: Record<string, string> = {}): Program {
  const base = { TIDEMARK_PROFILE: 'test', DATABASE_URL: url, ADMIN_KEY, PORT: '0' };
  const started = runProgram(args, { ...base, ...env });
  programs.push(started);
  return started;
}

async function post(address: string, path: string, body: unknown, headers = {}): Promise<number> {
  const response = await fetch(address + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
  return response.status;
}

describe('the exit code of a service that is stopped', () => {
  /** A batch that cannot end, and a service that gives it a second. */
  async function stopWhileABatchWaits(headers: Record<string, string>) {
    const url = await newDatabase(inject('postgresUrl'));
    const service = start(url, ['serve'], { DRAIN_TIMEOUT_MS: '1000' });
    const [address] = await service.says(/"address":"([^"]+)"/, START_MS);
    expect(await post(address!, '/v1/tenants', { id: 'acme', name: 'Acme' })).toBe(201);
    const holder = new pg.Client(url);
    await holder.connect();
    await holder.query('begin; lock table event in access exclusive mode');
    const answer = post(address!, '/v1/events', [{ ...anEvent(), tenantId: 'acme' }], headers).catch(() => 0);
    await until(async () => {
      const waits = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
                       and application_name = 'tidemark ingest'`;
      return (await query(url, waits)).rowCount === 1;
    });
    service.child.kill('SIGTERM');
    const code = await service.exited;
    await holder.end();
    return { code, answer: await answer, stderr: service.stderr() };
  }

  it('is 0 where what was not written was not answered either', async () => {
    const { code, answer, stderr } = await stopWhileABatchWaits({});
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect([0, 503]).toContain(answer);
  }, 120_000);

  it('is 1 where events were answered with 202, and says how many', async () => {
    const { code, answer, stderr } = await stopWhileABatchWaits({ prefer: 'respond-async' });
    expect({ code, answer }).toEqual({ code: 1, answer: 202 });
    expect(stderr).toMatch(/^tidemark: stopped, but 1 events? that had been answered with 202/);
  }, 120_000);
});

describe('rolling restarts while a file is imported and its summaries are refreshed', () => {
  it.each(['postgresUrl', 'timescaleUrl'] as const)(
    `end with 0, each of ${RESTARTS}: %s`,
    async (server) => {
      const at = inject(server);
      if (!at) return;
      const url = await newDatabase(at);
      const file = join(await runFolder(), `restarts-${server}.csv`);
      const lines = Array.from(
        { length: ROWS },
        (_, i) => `${new Date(Date.UTC(2026, 0, 1) + i * 600_000).toISOString()},5`,
      );
      await writeFile(file, `time,in\n${lines.join('\n')}\n`);
      const args = [
        'import',
        file,
        '--tenant',
        'acme',
        '--customer',
        'c',
        '--endpoint',
        '/a',
        '--create-tenant',
      ];
      const importing = start(url, [...args, '--map', 'timestamp=time,inputTokens=in']);
      const ends: [number | string, string][] = [];
      for (let i = 0; i < RESTARTS; i++) {
        const service = start(url, ['serve']);
        await service.says(/"address"/, START_MS);
        service.child.kill('SIGTERM');
        const code = await service.exited;
        ends.push([code, code === 0 ? '' : service.stdout() + service.stderr()]);
      }
      expect(ends).toEqual(ends.map(() => [0, '']));
      expect([await importing.exited, importing.stderr()]).toEqual([0, expect.any(String)]);
      const { rows } = await query(
        url,
        `select (select count(*)::int from event) as events, (select sum(calls)::int from usage_1d) as days,
              (select count(*)::int from late_window where stale) as stale`,
      );
      expect(rows[0]).toEqual({ events: ROWS, days: ROWS, stale: 0 });
    },
    240_000,
  );
});
