import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../src/ground/local/freePort.ts';
import {
  findLocalDatabase,
  type LocalDatabase,
  startLocalDatabase,
} from '../../src/ground/local/localDatabase.ts';
import { processStart } from '../../src/ground/local/processes.ts';
import { readLockFile } from '../../src/ground/local/runningServer.ts';
import { serverAccount } from '../../src/ground/local/serverAccount.ts';
import { reachable } from '../../src/ground/local/serverProgram.ts';
import { StartupError } from '../../src/model/errors.ts';
import { buildProgram } from '../support/buildProgram.ts';
import { runFolder } from '../support/runFolder.ts';

type Holder = ChildProcessByStdio<Writable, Readable, null>;

const run = promisify(execFile);
const HOLDER = fileURLToPath(new URL('support/holdLocalDatabase.mjs', import.meta.url));
const isRoot = process.getuid?.() === 0;
/** Somebody who is not root, where we can become somebody else; else ourselves. */
const somebody = await serverAccount('/nonexistent', () => undefined);
const somebodyMayRunUs = await reachable(dirname(HOLDER), somebody);

/** A data folder that has been started once: `reuse` copies it, which is quicker than making one. */
let template: string;
let folder: string;
let dataDir: string;
let port: number;
const started: LocalDatabase[] = [];

beforeAll(async () => {
  await buildProgram();
  template = await mkdtemp(join(await runFolder(), 'template-'));
  const database = await startLocalDatabase({
    dataDir: template,
    database: { embeddedPort: await freePort() },
  });
  await database.stop();
});
afterAll(() => rm(template, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(await runFolder(), 'local-'));
  dataDir = join(folder, 'data');
  port = await freePort();
});
afterEach(async () => {
  for (const database of started.splice(0)) await database.stop();
  const left = await readLockFile(join(dataDir, 'postgres'));
  if (left && (await processStart(left.pid))) process.kill(left.pid, 'SIGQUIT');
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
});

async function start(log?: (line: string) => void): Promise<LocalDatabase> {
  const database = await startLocalDatabase({ dataDir, database: { embeddedPort: port } }, log);
  started.push(database);
  return database;
}

async function reuse(): Promise<void> {
  await run('cp', ['-a', template, dataDir]);
}

async function refusal(): Promise<string> {
  const error = await start().catch((fault) => fault);
  expect(error).toBeInstanceOf(StartupError);
  expect(error.message).not.toContain('\n');
  return error.message;
}

async function query<Row>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Runs the database in a process of its own and returns it with the first line it says. */
async function hold(account = {}): Promise<{ holder: Holder; said: string }> {
  const holder = spawn(process.execPath, [HOLDER, dataDir, String(port)], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(holder.stdout, 'data');
  return { holder, said: String(line).trim() };
}

async function serverPid(): Promise<number> {
  return (await readLockFile(join(dataDir, 'postgres')))!.pid;
}

test('is made with the first start and kept for the next', async () => {
  expect(await findLocalDatabase(dataDir)).toBeUndefined();
  const first = await start();
  expect(new URL(first.url)).toMatchObject({
    port: String(port),
    username: 'tidemark',
    pathname: '/tidemark',
  });
  expect(await findLocalDatabase(dataDir)).toBe(first.url);
  const [server] = await query(
    first.url,
    `select current_setting('listen_addresses') as address, current_setting('data_checksums') as checksums,
            current_setting('fsync') as fsync, current_setting('timezone') as timezone,
            pg_encoding_to_char(encoding) as encoding, lower('Ä') as lower
       from pg_database where datname = current_database()`,
  );
  expect(server).toEqual({
    address: '127.0.0.1',
    checksums: 'on',
    fsync: 'on',
    timezone: 'UTC',
    encoding: 'UTF8',
    lower: 'ä',
  });
  await query(first.url, 'create table kept as select 42 as answer');
  const pid = await serverPid();
  await first.stop();
  expect(await processStart(pid)).toBeUndefined();
  expect(await findLocalDatabase(dataDir)).toBeUndefined();

  const second = await start();
  expect(second.url).toBe(first.url);
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('passwords are nobody else’s business', async () => {
  const { url } = await start();
  for (const file of ['database.json', 'postgres.log', 'service.pid']) {
    expect((await stat(join(dataDir, file))).mode & 0o077, file).toBe(0);
  }
  expect((await stat(join(dataDir, 'postgres'))).mode & 0o077).toBe(0);
  const wrong = new URL(url);
  wrong.password = 'wrong';
  await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
});

test('a second service on the folder is refused, and does no harm', async () => {
  await reuse();
  const { holder, said } = await hold();
  expect(await refusal()).toBe(`another Tidemark (pid ${holder.pid}) is running on ${dataDir}`);
  expect(await query(said, 'select 1 as one')).toEqual([{ one: 1 }]);
  holder.stdin.write('exit');
  await once(holder, 'exit');
});

test('of two first starts at once, one is refused and one runs', async () => {
  const results = await Promise.allSettled([start(), start()]);
  expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(await query(started[0]!.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('what a killed service left running is taken over, with its data', async () => {
  await reuse();
  const { holder, said } = await hold();
  await query(said, 'create table kept as select 42 as answer');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(await findLocalDatabase(dataDir)).toBe(said);

  const pid = await serverPid();
  const lines: string[] = [];
  const database = await start((line) => lines.push(line));
  expect(lines.join()).toContain(`process ${pid}`);
  expect(database.url).toBe(said);
  expect(await serverPid()).toBe(pid);
  expect(await query(database.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await database.stop();
  await database.exited;
  expect(await processStart(pid)).toBeUndefined();
});

test('an abandoned server that does not take our password is replaced', async () => {
  await reuse();
  const { holder, said } = await hold();
  const pid = await serverPid();
  await query(said, `alter user tidemark password 'another'`);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(await refusal()).toContain('the password');
  expect(await processStart(pid)).toBeUndefined();
});

test('a server that was killed recovers what was committed', async () => {
  await reuse();
  const first = await start();
  await query(first.url, 'create table kept as select 42 as answer');
  process.kill(await serverPid(), 'SIGKILL');
  await first.exited;
  await first.stop();
  const second = await start();
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('a process that exits without stopping it takes it along', async () => {
  await reuse();
  const { holder, said } = await hold();
  const pid = await serverPid();
  holder.stdin.write('exit');
  await once(holder, 'exit');
  // At once, while it stops: the port stays the same.
  const { url } = await start();
  expect(url).toBe(said);
  expect(await processStart(pid)).toBeUndefined();
});

test('Ctrl-C in the terminal does not reach the server', async () => {
  await reuse();
  const { holder, said } = await hold();
  process.kill(-holder.pid!, 'SIGINT');
  expect(String(await once(holder.stdout, 'data'))).toContain('interrupted');
  await delay(200);
  expect(await query(said, 'select 1 as one')).toEqual([{ one: 1 }]);
  holder.stdin.write('exit');
  await once(holder, 'exit');
});

test('a first start that was interrupted is done anew', async () => {
  const holder = spawn(process.execPath, [HOLDER, dataDir, String(port)], {
    stdio: 'ignore',
  });
  const atWork = async () => (await readdir(dataDir).catch(() => [])).some((name) => name.includes('.new-'));
  while (!(await atWork())) await delay(5);
  await delay(100);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const database = await start();
  expect(await query(database.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect((await readdir(dataDir)).sort()).toEqual([
    'database.json',
    'postgres',
    'postgres.log',
    'service.pid',
  ]);
});

test('a taken port is avoided, and the one used instead is kept', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  port = (other.address() as AddressInfo).port;
  const first = await start();
  expect(new URL(first.url).port).not.toBe(String(port));
  await first.stop();
  other.close();
  await once(other, 'close');
  expect((await start()).url).toBe(first.url);
});

test('a stale postmaster.pid with the number of another program is no obstacle', async () => {
  await reuse();
  const lockFile = join(dataDir, 'postgres', 'postmaster.pid');
  await writeFile(
    lockFile,
    `${process.pid}\n${dataDir}/postgres\n1795227765\n${port}\n\n127.0.0.1\n\nready\n`,
  );
  expect(await findLocalDatabase(dataDir)).toBeUndefined();
  await start();
});

test('data of another version of PostgreSQL is refused', async () => {
  await reuse();
  await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '14\n');
  expect(await refusal()).toMatch(/made by PostgreSQL 14 and this is PostgreSQL \d+/);
});

test('damaged data is called so', async () => {
  await reuse();
  await rm(join(dataDir, 'postgres', 'global', 'pg_control'));
  expect(await refusal()).toMatch(/^PostgreSQL did not start: the data in .* is damaged/);
});

test('a folder that is no cluster is left alone', async () => {
  await mkdir(join(dataDir, 'postgres'), { recursive: true });
  await writeFile(join(dataDir, 'postgres', 'diary.txt'), 'dear diary');
  expect(await refusal()).toContain('neither empty nor a PostgreSQL data directory');
  expect(await readFile(join(dataDir, 'postgres', 'diary.txt'), 'utf8')).toBe('dear diary');
});

test('a file in place of the folder is refused', async () => {
  await writeFile(dataDir, '');
  expect(await refusal()).toMatch(/^cannot use the folder .*: there is a file where a folder should be$/);
});

test.runIf(somebodyMayRunUs)('a folder that may not be written is refused', async () => {
  await chmod(folder, 0o755);
  await mkdir(dataDir, { mode: 0o555 });
  const { said } = await hold(somebody);
  expect(said).toMatch(/^StartupError: cannot use the folder .*: permission denied/);
});

test.runIf(isRoot && somebodyMayRunUs)('works for a user who is not root, and then for root', async () => {
  await chmod(folder, 0o755);
  await mkdir(dataDir);
  await chown(dataDir, somebody!.uid, somebody!.gid);
  const { holder, said } = await hold(somebody);
  expect(await query(said, 'select 1 as one')).toEqual([{ one: 1 }]);
  holder.stdin.write('exit');
  await once(holder, 'exit');
  expect((await start()).url).toBe(said);
});

test.runIf(isRoot)('works for root in a folder that is closed to everybody else', async () => {
  await reuse();
  await chmod(folder, 0o700);
  const { url } = await start();
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test.runIf(isRoot)('works for root in a folder that is open to all', async () => {
  await chmod(folder, 0o755);
  const { url } = await start();
  expect(await query(url, `select current_setting('data_directory') as dir`)).toEqual([
    { dir: join(dataDir, 'postgres') },
  ]);
});

test('a full device is called so', async ({ skip }) => {
  await mkdir(dataDir);
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', dataDir]);
  } catch {
    skip('cannot mount a small file system here');
  }
  try {
    expect(await refusal()).toMatch(/^PostgreSQL cannot be set up: no space left on the device/);
    await writeFile(join(dataDir, 'ballast'), Buffer.alloc(16_777_216)).catch(() => undefined);
    expect(await refusal()).toMatch(/^cannot use the folder .*: no space left on the device/);
  } finally {
    await run('umount', [dataDir]);
  }
});
