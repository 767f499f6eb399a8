import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../../src/ground/local/freePort.ts';
import type { PostgresBinaries } from '../../src/ground/local/postgresBinaries.ts';
import { startCluster } from '../../src/ground/local/postgresCluster.ts';
import { hasImage, pullImage, startContainer } from './containers.ts';
import { withDatabase } from './databaseUrl.ts';

/** The server that production runs on. */
export const TIMESCALE_IMAGE = 'timescale/timescaledb:2.29.2-pg17';

/** The one that the tests run on: another of the workflow's matrix, or that. */
const image = process.env.TEST_TIMESCALE_IMAGE || TIMESCALE_IMAGE;

const PASSWORD = 'throwaway';

/** What a server needs to have the extension. */
export const TIMESCALE_SETTINGS = {
  shared_preload_libraries: 'timescaledb',
  'timescaledb.telemetry_level': 'off',
  max_worker_processes: '40',
};

const SETTINGS = {
  ...TIMESCALE_SETTINGS,
  max_connections: '200',
  max_prepared_transactions: '8', // for transactions that stand still in the midst of their commit
  fsync: 'off',
  full_page_writes: 'off',
  timezone: 'UTC',
};

export interface TimescaleServer {
  /** Superuser URL. */
  url: string;
  /** Where it was found, in words. */
  source: string;
  stop(): Promise<void>;
}

/**
 * A TimescaleDB Community server for one run: that of TEST_TIMESCALE_URL, a container of an image that is here, one
 * started from the PostgreSQL on this machine that has the extension, or a container of an image that can be pulled;
 * null where there is none.
 *
 * @param dir for the files of a server that is started here.
 * @throws when TEST_TIMESCALE_URL names a server that is not one.
 */
export async function startTimescale(dir: string): Promise<TimescaleServer | null> {
  const given = process.env.TEST_TIMESCALE_URL;
  if (given) {
    await assertCommunity(given);
    return { url: given, source: 'TEST_TIMESCALE_URL', stop: async () => undefined };
  }
  for (const start of [startInContainer, startInstalled, startPulled]) {
    const server = await start(dir).catch((error: Error) => {
      console.error(`tests: a TimescaleDB was found and is not usable: ${error.message}`);
      return null;
    });
    if (server) return server;
  }
  return null;
}

async function startInContainer(): Promise<TimescaleServer | null> {
  if (!(await hasImage(image))) return null;
  const { address, stop } = await startContainer({
    image,
    port: 5432,
    env: { POSTGRES_PASSWORD: PASSWORD },
    command: ['postgres', ...Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
  });
  const url = `postgres://postgres:${PASSWORD}@${address}/postgres`;
  return verified({ url, source: `a container, ${image}`, stop });
}

async function startPulled(): Promise<TimescaleServer | null> {
  return (await pullImage(image)) ? startInContainer() : null;
}

async function startInstalled(dir: string): Promise<TimescaleServer | null> {
  const binaries = await installedTimescale();
  if (!binaries) return null;
  const cluster = await startCluster({
    dataDir: join(dir, 'timescale'),
    logFile: join(dir, 'timescale.log'),
    port: await freePort(),
    password: PASSWORD,
    settings: SETTINGS,
    binaries,
  });
  const url = `postgres://postgres:${PASSWORD}@127.0.0.1:${cluster.port}/postgres`;
  return verified({ url, source: dirname(binaries.postgres), stop: () => cluster.stop('immediate') });
}

/** The newest PostgreSQL here that has the extension: in Debian's layout, or with everything in one folder. */
export async function installedTimescale(): Promise<PostgresBinaries | undefined> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root).catch(() => []);
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    const bin = join(root, version, 'bin');
    const shares = [join('/usr/share/postgresql', version), join(root, version, 'share')];
    const controls = shares.map((share) => join(share, 'extension', 'timescaledb.control'));
    const [program, ...control] = await Promise.all([join(bin, 'postgres'), ...controls].map(exists));
    if (program && control.includes(true)) {
      return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
    }
  }
  return undefined;
}

async function verified(server: TimescaleServer): Promise<TimescaleServer> {
  try {
    await assertCommunity(server.url);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Asks in a database of its own: the licence can be read only where the extension has been created. */
async function assertCommunity(url: string): Promise<void> {
  const name = `tidemark_probe_${process.pid}`;
  const server = await connectPatiently(url);
  try {
    await server.query(`create database ${name}`);
    const probe = await connectPatiently(withDatabase(url, name));
    try {
      await probe.query('create extension if not exists timescaledb');
      const { rows } = await probe.query(`select current_setting('timescaledb.license', true) as license`);
      if (rows[0].license !== 'timescale') {
        throw new Error(
          `it is the ${rows[0].license} edition, and continuous aggregates are in Community only`,
        );
      }
    } finally {
      await probe.end();
    }
  } finally {
    await server.query(`drop database if exists ${name} with (force)`);
    await server.end();
  }
}

/** A server in a container listens before it answers. */
async function connectPatiently(url: string): Promise<pg.Client> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      if (Date.now() > deadline) throw error;
      await delay(200);
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
