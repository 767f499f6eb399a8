import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../../src/ground/local/freePort.ts';
import { installedProgram } from './program.ts';
import { runFolder } from './runFolder.ts';

const START_TIMEOUT_MS = 10_000;
/** Debian's and everybody's user without rights: PgBouncer refuses to run as root. */
const NOBODY = { name: 'nobody', uid: 65_534, gid: 65_534 };

export interface PgBouncer {
  /** Leads to the database through the pooler. */
  url: string;
  /** Of its log so far. */
  log(): Promise<string>;
  /** Rows of a command of the admin console, `show servers` for one. */
  admin(command: string): Promise<Record<string, string>[]>;
  /** Ends it as a crash would (SIGKILL), and starts it again on the same port. */
  crash(): Promise<void>;
  /** Ends it. Resolves when it is gone. */
  stop(): Promise<void>;
}

export interface PgBouncerOptions {
  /** Server connections per database and user. */
  poolSize: number;
  /** 0 to 2: how much it logs. */
  verbose?: number;
}

/** Starts a PgBouncer in transaction mode on 127.0.0.1 in front of the given database, and nothing else. */
export async function startPgBouncer(databaseUrl: string, options: PgBouncerOptions): Promise<PgBouncer> {
  const program = await installedProgram('pgbouncer');
  const port = await freePort();
  const dir = await mkdtemp(join(await runFolder(), 'pgbouncer-'));
  const file = (name: string) => join(dir, name);
  await writeFile(file('pgbouncer.ini'), settings(new URL(databaseUrl), port, options, file), {
    mode: 0o644,
  });
  const asRoot = process.getuid?.() === 0;
  await chmod(dir, 0o755);
  if (asRoot) await chown(dir, NOBODY.uid, NOBODY.gid);

  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  url.password = '';
  const admin = async (command: string) => {
    const client = new pg.Client({ host: '127.0.0.1', port, database: 'pgbouncer', user: url.username });
    client.on('error', () => undefined);
    await client.connect();
    try {
      const { rows } = await client.query(command);
      return rows;
    } finally {
      await client.end();
    }
  };
  const log = () => readFile(file('pgbouncer.log'), 'utf8').catch(() => '');

  let child: ChildProcess;
  const onExit = () => child.kill('SIGKILL');
  const start = async () => {
    const user = asRoot ? ['-u', NOBODY.name] : [];
    child = spawn(program, ['-q', ...user, file('pgbouncer.ini')], { cwd: dir, stdio: 'ignore' });
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const answers = await admin('show version').then(
        () => true,
        () => false,
      );
      if (answers) return;
      if (child.exitCode !== null || Date.now() > deadline) {
        onExit();
        throw new Error(`pgbouncer does not start on port ${port}: ${(await log()).slice(-500)}`);
      }
      await delay(10);
    }
  };
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await rm(file('pgbouncer.pid'), { force: true });
  };
  process.once('exit', onExit);
  const stop = async () => {
    await end();
    process.off('exit', onExit);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: url.href,
    log,
    admin,
    async crash() {
      await end();
      await start();
    },
    stop,
  };
}

function settings(
  database: URL,
  port: number,
  { poolSize, verbose = 0 }: PgBouncerOptions,
  file: (name: string) => string,
): string {
  const target = {
    host: database.hostname,
    port: database.port || '5432',
    dbname: database.pathname.slice(1),
    user: decodeURIComponent(database.username),
    ...(database.password && { password: decodeURIComponent(database.password) }),
  };
  const at = Object.entries(target).map(([name, value]) => `${name}='${value.replaceAll("'", "''")}'`);
  return `[databases]
${target.dbname} = ${at.join(' ')}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
admin_users = ${target.user}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 100
logfile = ${file('pgbouncer.log')}
pidfile = ${file('pgbouncer.pid')}
verbose = ${verbose}
`;
}
