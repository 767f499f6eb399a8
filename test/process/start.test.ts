import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { freePort } from '../../src/ground/local/freePort.ts';
import { processStart } from '../../src/ground/local/processes.ts';
import { readLockFile } from '../../src/ground/local/runningServer.ts';
import { serverAccount } from '../../src/ground/local/serverAccount.ts';
import { reachable } from '../../src/ground/local/serverProgram.ts';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { withDatabase } from '../support/databaseUrl.ts';
import { runFolder } from '../support/runFolder.ts';
import { anEvent } from '../support/traffic.ts';
import { type Program, runProgram } from './support/runProgram.ts';

const ADMIN_KEY = 'tm_admin_key_of_the_process_tests';
const READY_MS = 30_000;
const MIGRATIONS = readdirSync('migrations').filter((name) => name.endsWith('.js')).length;
const somebody = await serverAccount('/nonexistent', () => undefined);
const somebodyMayRunUs = await reachable(dirname(fileURLToPath(import.meta.url)), somebody);

const programs: Program[] = [];
const folders: string[] = [];
const databases: TestDatabase[] = [];
const servers: Server[] = [];

beforeAll(buildProgram, 120_000);

afterEach(async () => {
  for (const { child, exited } of programs.splice(0)) {
    child.kill('SIGKILL');
    await exited;
  }
  for (const folder of folders.splice(0)) {
    const left = await readLockFile(join(folder, 'data', 'postgres'));
    if (left && (await processStart(left.pid))) process.kill(left.pid, 'SIGQUIT');
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
  for (const database of databases.splice(0)) await database.drop();
  for (const server of servers.splice(0)) server.close();
});

function start(
  env: Record<string, string>,
  command = 'serve',
  options: Parameters<typeof runProgram>[2] = {},
): Program {
  const started = runProgram([command], env, options);
  programs.push(started);
  return started;
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(await runFolder(), 'start-'));
  folders.push(folder);
  return folder;
}

async function newDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  databases.push(database);
  return database;
}

/** A database without a schema. */
async function emptyDatabase(): Promise<string> {
  const server = inject('postgresUrl');
  const name = `${inject('databasePrefix')}${randomBytes(6).toString('hex')}`;
  await query(server, `create database ${name}`);
  const url = withDatabase(server, name);
  const drop = () => query(server, `drop database if exists ${name} with (force)`).then(() => undefined);
  databases.push({ url, engine: 'postgres', drop });
  return url;
}

/** A port that somebody listens on; `answer` is what each connection is told. */
async function takenPort(answer?: string): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (answer) socket.end(answer);
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

// biome-ignore lint/suspicious/noExplicitAny: rows of any query
async function query(url: string, sql: string, values: unknown[] = []): Promise<any[]> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}

async function call(address: string, method: string, path: string, key: string | null, body?: unknown) {
  const response = await fetch(address + path, {
    method,
    headers: {
      connection: 'close',
      'content-type': 'application/json',
      ...(key && { authorization: `Bearer ${key}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, body: isJson ? JSON.parse(text) : text };
}

/** Waits for a service that logs its address, and returns it. */
async function listening(program: Program): Promise<string> {
  const [address] = await program.says(/"address":"([^"]+)".*"listening"/);
  return address!;
}

/** API, docs, console, demo key, admin key, database. */
type Lines = [string, string, string, string, string, string];

describe('npm start on a machine with nothing but Node', () => {
  const welcome =
    /Tidemark is ready \(([\d.]+) s\)\n\n {2}API {7}(\S+)\n {2}Docs {6}(\S+)\n {2}Console {3}(\S+) .*\n {2}Demo key {2}(\S+) .*\n {2}Admin key (\S+)\n {2}Database {2}psql "(\S+)"\n/;

  it('is ready in seconds, prints what works, and keeps everything between runs', async () => {
    const folder = await newFolder();
    const env = {
      DATA_DIR: join(folder, 'data'),
      PORT: '0',
      EMBEDDED_PG_PORT: String(await freePort()),
    };
    const began = Date.now();
    const first = start(env);
    const printed = await first.says(welcome, READY_MS);
    expect(Date.now() - began).toBeLessThan(READY_MS);
    const [, api, docs, page, demoKey, adminKey, url] = printed as [string, ...Lines];
    // What it waits for, as it begins.
    expect(first.stdout()).toMatch(
      /^ {2}Starting the local database in \S+data …\n(.*\n)*? {2}Making the schema, or bringing it up to date …\n/,
    );
    expect((await call(docs, 'GET', '', null)).status).toBe(200);
    const { origin, pathname, searchParams } = new URL(page);
    expect([origin, pathname]).toEqual([api, '/console']);
    const exchange = () => call(api, 'POST', '/console/code', null, { code: searchParams.get('code') });
    expect((await exchange()).body).toEqual({ key: demoKey });
    expect(await exchange()).toMatchObject({ status: 410, body: { code: 'code_spent' } });
    expect((await call(api, 'GET', '/healthz', null)).body).toEqual({ status: 'ok' });
    expect((await call(api, 'GET', '/readyz', null)).body).toMatchObject({ status: 'ready', live: 'ok' });
    expect((await call(api, 'POST', '/v1/events', demoKey, anEvent())).body).toEqual({
      accepted: 1,
      duplicates: 0,
    });
    const live = (await call(api, 'GET', '/v1/live', demoKey)).body;
    expect(live.current.totalCalls + live.previous.totalCalls).toBe(1);
    expect((await call(api, 'GET', '/v1/tenants', adminKey)).body.data).toMatchObject([{ id: 'demo' }]);
    const customers = (await call(api, 'GET', '/v1/customers', demoKey)).body.data;
    expect(customers).toMatchObject([
      { customerId: 'acme', name: 'Acme Inc.' },
      { customerId: 'birch', name: 'Birch & Sons' },
      { customerId: 'cobalt', name: 'Cobalt Hotels' },
      { customerId: 'customer-1', name: null },
    ]);
    const rules = (await call(api, 'GET', '/v1/alert-rules', demoKey)).body.data;
    expect(rules).toHaveLength(3);
    expect((await call(api, 'DELETE', `/v1/alert-rules/${rules[0].id}`, demoKey)).status).toBe(204);
    expect(await query(url, 'select tenant_id, customer_id from event')).toEqual([
      { tenant_id: 'demo', customer_id: 'customer-1' },
    ]);

    const second = start(env);
    expect(await second.exited).toBe(1);
    expectOneLine(second, /^tidemark: another Tidemark \(pid \d+\) is running on .*data$/);
    expect((await call(api, 'GET', '/readyz', null)).status).toBe(200);

    first.child.kill('SIGTERM');
    expect(await first.exited).toBe(0);
    expect(first.stderr()).toBe('');
    await expect(query(url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });

    // Again, with a Redis that is not there.
    const again = start({ ...env, REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
    const reprinted = await again.says(welcome, READY_MS);
    expect(reprinted.slice(4)).toEqual(printed.slice(4));
    const address = reprinted[1]!;
    // The code of another start is none.
    expect(reprinted[3]).not.toContain(searchParams.get('code'));
    const code = searchParams.get('code');
    expect(await call(address, 'POST', '/console/code', null, { code })).toMatchObject({
      status: 401,
      body: { code: 'code_unknown' },
    });
    expect((await call(address, 'GET', '/v1/customers', demoKey)).body.data).toEqual(customers);
    expect((await call(address, 'GET', '/v1/alert-rules', demoKey)).body.data).toEqual(rules.slice(1));
    expect((await call(address, 'GET', '/v1/events', demoKey)).body.data).toHaveLength(1);
    expect((await call(address, 'POST', '/v1/events', demoKey, anEvent())).body.accepted).toBe(1);
    expect((await call(address, 'GET', '/v1/live', demoKey)).body).toMatchObject({ source: 'database' });
    expect((await call(address, 'GET', '/readyz', null)).body).toMatchObject({
      status: 'ready',
      live: 'unavailable',
    });
    again.child.kill('SIGINT');
    expect(await again.exited).toBe(0);
    expect(again.stderr()).toBe('');
  });

  it('has its schema brought up to date by npm run migrate, whether the service runs or not', async () => {
    const folder = await newFolder();
    const env = { DATA_DIR: join(folder, 'data'), PORT: '0', EMBEDDED_PG_PORT: String(await freePort()) };
    const first = start(env, 'migrate');
    expect([await first.exited, first.stderr()]).toEqual([0, '']);
    expect(first.stdout().match(/^applied \d{4}_\w+$/gm)).toHaveLength(MIGRATIONS);
    const service = start(env);
    await service.says(welcome, READY_MS);
    const second = start(env, 'migrate');
    expect([await second.exited, second.stdout()]).toEqual([0, 'the schema is up to date\n']);
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
  });
});

/** Not a word, but what it had begun, and one line that says why, for the operator. */
function expectOneLine(program: Program, pattern: RegExp): void {
  expect(program.stderr().trimEnd()).toMatch(pattern);
  expect(program.stderr()).toMatch(/^tidemark: [^\n]+\n$/);
  expect(program.stdout().replaceAll(/^ {2}\w.* …\n/gm, '')).toBe('');
}

describe('a start that cannot succeed ends with one line and exit code 1', () => {
  const refused = async (env: Record<string, string>, pattern: RegExp, options = {}) => {
    const program = start({ LOG_LEVEL: 'info', PORT: '0', ...env }, 'serve', options);
    expect([await program.exited, program.stderr()]).toEqual([1, program.stderr()]);
    expectOneLine(program, pattern);
    return program.stderr();
  };
  const test = (url: string) => ({ TIDEMARK_PROFILE: 'test', DATABASE_URL: url, ADMIN_KEY });
  const server = () => new URL(inject('postgresUrl'));

  it('a taken port', async () => {
    const { url } = await newDatabase();
    const port = await takenPort();
    await refused(
      { ...test(url), PORT: String(port) },
      /: port \d+ on 127.0.0.1 is taken; set PORT to another$/,
    );
    const left = `select from pg_stat_activity
                  where datname = current_database() and application_name like 'tidemark%'`;
    expect(await query(url, left)).toEqual([]);
  });

  it('a taken port, before the schema is made', async () => {
    const url = await emptyDatabase();
    await refused({ ...test(url), PORT: String(await takenPort()) }, /: port \d+ on 127.0.0.1 is taken; /);
    expect(await query(url, `select to_regclass('schema_migration') as there`)).toEqual([{ there: null }]);
  });

  it('an address that is not of this machine', async () => {
    const { url } = await newDatabase();
    await refused({ ...test(url), HOST: '192.0.2.1' }, /: cannot listen on 192.0.2.1:0: /);
  });

  it('a data folder that is a file', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'data'), '');
    await refused({ DATA_DIR: join(folder, 'data') }, /: cannot use the folder .*: there is a file where/);
    await refused(
      { DATA_DIR: join(folder, 'data', 'below'), DATABASE_URL: (await newDatabase()).url },
      /: cannot use the folder .*: there is a file where/,
    );
  });

  it.runIf(somebodyMayRunUs)('a data folder that may not be written', async () => {
    const folder = await newFolder();
    await chmod(folder, 0o755);
    await mkdir(join(folder, 'data'), { mode: 0o555 });
    await refused(
      { DATA_DIR: join(folder, 'data') },
      /: cannot use the folder .*data: permission denied/,
      somebody,
    );
  });

  it('a database where nobody listens', async () => {
    const url = server();
    url.port = String(await freePort());
    const said = await refused(test(url.href), /: the database at .* cannot be used: nothing answers there$/);
    expect(said).not.toContain(url.password);
  });

  it('a database that does not answer', async () => {
    const url = `postgres://u:secret@127.0.0.1:${await takenPort()}/x`;
    const said = await refused({ ...test(url), DB_CONNECT_TIMEOUT_MS: '300' }, /cannot be used: .*timeout/);
    expect(said).not.toContain('secret');
  });

  it('something that is not a database', async () => {
    const port = await takenPort('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    await refused(test(`postgres://u:secret@127.0.0.1:${port}/x`), /: the database at .* cannot be used: ./);
  });

  it('a wrong password', async () => {
    const url = server();
    url.password = 'wrong';
    const said = await refused(test(url.href), /cannot be used: the user or password is wrong$/);
    expect(said).not.toContain('wrong@');
  });

  it('an unknown database', async () => {
    const url = withDatabase(inject('postgresUrl'), 'there_is_no_such_database');
    await refused(test(url), /there_is_no_such_database cannot be used: there is no such database$/);
  });

  it('a newer schema', async () => {
    const { url } = await newDatabase();
    await query(url, `insert into schema_migration (name, run_on) values ('9999_from_the_future', now())`);
    const reason = /: the database has a newer schema .*9999_from_the_future.*; upgrade Tidemark$/;
    await refused(test(url), reason);
    const migrate = start({ DATABASE_URL: url }, 'migrate');
    expect(await migrate.exited).toBe(1);
    expectOneLine(migrate, reason);
  });

  it('a user who may not make the schema', async () => {
    const url = new URL(await emptyDatabase());
    await query(url.href, `drop role if exists tidemark_guest`);
    await query(url.href, `create role tidemark_guest login password 'guest'`);
    try {
      url.username = 'tidemark_guest';
      url.password = 'guest';
      await refused(test(url.href), /the user tidemark_guest lacks rights .*: grant /);
    } finally {
      await query(inject('postgresUrl'), 'drop role tidemark_guest');
    }
  });

  it('the prod profile without a database, or without a key', async () => {
    await refused({ TIDEMARK_PROFILE: 'prod', ADMIN_KEY }, /^tidemark: the prod profile needs DATABASE_URL$/);
    const { url } = await newDatabase();
    await refused(
      { TIDEMARK_PROFILE: 'prod', DATABASE_URL: url },
      /^tidemark: the prod profile needs ADMIN_KEY$/,
    );
  });

  it('variables that are wrong', async () => {
    const env = { PORT: 'http', INGEST_WRITERS: '99', DATABASE_URL: 'mysql://me:secret@db/x' };
    const said = await refused(env, /^tidemark: configuration is invalid: PORT: .*INGEST_WRITERS: /);
    expect(said).not.toContain('secret');
  });
});

describe('several instances', () => {
  it('starting at once on one empty database migrate it once', async () => {
    const url = await emptyDatabase();
    const env = { TIDEMARK_PROFILE: 'prod', DATABASE_URL: url, ADMIN_KEY, PORT: '0', DRAIN_DELAY_MS: '0' };
    const instances = [start(env), start(env), start(env)];
    const migrate = start(env, 'migrate');
    const addresses = await Promise.all(instances.map(listening));
    expect(await migrate.exited).toBe(0);
    const names = (await query(url, 'select name from schema_migration order by id')).map(({ name }) => name);
    expect(names).toHaveLength(MIGRATIONS);
    expect(new Set(names).size).toBe(names.length);

    await call(addresses[0]!, 'POST', '/v1/tenants', ADMIN_KEY, { id: 'acme', name: 'Acme' });
    for (const address of addresses) {
      const event = { ...anEvent(), tenantId: 'acme' };
      expect((await call(address, 'POST', '/v1/events', ADMIN_KEY, event)).body.accepted).toBe(1);
    }
    expect(await query(url, 'select count(*)::int as n from event')).toEqual([{ n: 3 }]);
    for (const { child } of instances) child.kill('SIGTERM');
    for (const instance of instances) {
      expect([await instance.exited, instance.stderr()]).toEqual([0, '']);
      expect(instance.stdout()).not.toContain(ADMIN_KEY);
      expect(instance.stdout()).not.toContain(new URL(url).password);
    }
  });

  it('for development may share a database and a folder', async () => {
    const url = await emptyDatabase();
    const folder = await newFolder();
    const env = { DATABASE_URL: url, DATA_DIR: join(folder, 'data'), PORT: '0' };
    const first = start(env);
    await first.says(/Tidemark is ready/);
    await query(url, `delete from api_key`);
    const others = [start(env), start(env), start(env)];
    await Promise.all(others.map((instance) => instance.says(/Tidemark is ready/)));
    expect(await query(url, 'select count(*)::int as n from api_key')).toEqual([{ n: 1 }]);
  });
});

describe('SIGTERM', () => {
  it('under load: everything that was acknowledged is stored, and the process ends with 0', async () => {
    const { url } = await newDatabase();
    const service = start({
      TIDEMARK_PROFILE: 'test',
      DATABASE_URL: url,
      ADMIN_KEY,
      PORT: '0',
      DRAIN_DELAY_MS: '2000',
    });
    const address = await listening(service);
    await call(address, 'POST', '/v1/tenants', ADMIN_KEY, { id: 'acme', name: 'Acme' });

    const acknowledged: string[] = [];
    const statuses = new Map<number, number>();
    const keptAlive: { at: number; connection: string | undefined }[] = [];
    let stopped = false;
    const client = async (clientNumber: number) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let failures = 0; !stopped && failures < 3; ) {
        const events = Array.from({ length: 20 }, () => ({ ...anEvent(), eventId: randomUUID() }));
        try {
          const { status, connection } = await post(agent, address, events, clientNumber % 4 === 0);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          keptAlive.push({ at: Date.now(), connection });
          if (status === 200 || status === 202) acknowledged.push(...events.map(({ eventId }) => eventId));
        } catch {
          failures++; // the listener has closed
          await sleep(5);
        }
      }
      agent.destroy();
    };
    const clients = Promise.all(Array.from({ length: 16 }, (_, i) => client(i)));
    await sleep(700);
    const ended = Date.now();
    service.child.kill('SIGTERM');
    await sleep(200);
    const ready = await call(address, 'GET', '/readyz', null);
    expect(ready).toMatchObject({
      status: 503,
      body: { status: 'not_ready', draining: true, database: 'ok' },
    });
    expect((await call(address, 'GET', '/healthz', null)).status).toBe(200);
    const code = await service.exited;
    const tookMs = Date.now() - ended;
    stopped = true;
    await clients;

    expect([code, service.stderr()]).toEqual([0, '']);
    expect(tookMs).toBeLessThan(9_000);
    expect(service.stdout()).toContain('"stopped"');
    expect([...statuses.keys()].every((status) => [200, 202, 503].includes(status))).toBe(true);
    expect(statuses.get(200)).toBeGreaterThan(10);
    expect(statuses.get(202)).toBeGreaterThan(0);
    const draining = keptAlive.filter(({ at }) => at > ended + 150);
    expect(draining.length).toBeGreaterThan(0);
    expect(new Set(draining.map(({ connection }) => connection))).toEqual(new Set(['close']));
    const [{ missing, twice }] = await query(
      url,
      `select (select count(*)::int from unnest($1::uuid[]) as id where id not in (select event_id from event)) as missing,
              (select count(*)::int - count(distinct event_id)::int from event) as twice`,
      [acknowledged],
    );
    expect({ missing, twice }).toEqual({ missing: 0, twice: 0 });
  });

  it('waits for a request whose body is still coming, and no longer than it must for an idle connection', async () => {
    const { url } = await newDatabase();
    const service = start({ TIDEMARK_PROFILE: 'test', DATABASE_URL: url, ADMIN_KEY, PORT: '0' });
    const address = await listening(service);
    await call(address, 'POST', '/v1/tenants', ADMIN_KEY, { id: 'acme', name: 'Acme' });
    const idle = new Agent({ keepAlive: true });
    expect((await post(idle, address, [anEvent()], false)).status).toBe(200);

    const body = JSON.stringify(anEvent());
    const slow = request(`${address}/v1/events`, { method: 'POST', headers: headersOf(body) });
    const answered = once(slow, 'response');
    slow.write(body.slice(0, 20));
    await sleep(200);
    const ended = Date.now();
    service.child.kill('SIGTERM');
    await sleep(500);
    slow.end(body.slice(20));
    const [response] = await answered;
    expect([response.statusCode, response.headers.connection]).toEqual([200, 'close']);
    response.resume();
    expect(await service.exited).toBe(0);
    expect(Date.now() - ended).toBeLessThan(6_000);
    idle.destroy();
    expect(await query(url, 'select count(*)::int as n from event')).toEqual([{ n: 2 }]);
  });

  it('twice ends it at once', async () => {
    const { url } = await newDatabase();
    const env = {
      TIDEMARK_PROFILE: 'test',
      DATABASE_URL: url,
      ADMIN_KEY,
      PORT: '0',
      DRAIN_DELAY_MS: '30000',
    };
    const service = start(env);
    await listening(service);
    service.child.kill('SIGTERM');
    await service.says(/"stopping"/);
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(1);
  });
});

const headersOf = (body: string) => ({
  authorization: `Bearer ${ADMIN_KEY}`,
  'x-tenant-id': 'acme',
  'content-type': 'application/json',
  'content-length': Buffer.byteLength(body),
});

async function post(
  agent: Agent,
  address: string,
  events: unknown[],
  async: boolean,
): Promise<{ status: number; connection: string | undefined }> {
  const body = JSON.stringify(events);
  const sent = request(`${address}/v1/events`, {
    agent,
    method: 'POST',
    headers: { ...headersOf(body), ...(async && { prefer: 'respond-async' }) },
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  response.resume();
  await once(response, 'end');
  return { status: response.statusCode, connection: response.headers.connection };
}
