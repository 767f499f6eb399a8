import { join } from 'node:path';
import pg from 'pg';
import { migrate } from '../../src/ground/db/migrate.ts';
import { freePort } from '../../src/ground/local/freePort.ts';
import { startCluster } from '../../src/ground/local/postgresCluster.ts';
import { withDatabase } from '../../test/support/databaseUrl.ts';
import { startTimescale } from '../../test/support/timescaleServer.ts';
import { findPostmaster } from './processStats.ts';

export type Engine = 'postgres' | 'timescale';

/** A server to measure on. Every measurement gets a database of its own. */
export interface BenchServer {
  engine: Engine;
  /** Versions, and the settings that figures depend on. */
  description: Record<string, string>;
  /** Its main process, where it runs on this machine. */
  postmaster: number | null;
  /** Makes an empty database, or one with Tidemark's schema, and writes the server's buffers out. */
  createDatabase(content: 'empty' | 'migrated'): Promise<BenchDatabase>;
  stop(): Promise<void>;
}

export interface BenchDatabase {
  /** Superuser URL. */
  url: string;
  engine: Engine;
  /** Ends its sessions and removes it. */
  drop(): Promise<void>;
}

/** As in production: durable, and with room for a measurement without a checkpoint in its middle. */
const SETTINGS = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '1GB',
  max_wal_size: '4GB',
  checkpoint_timeout: '30min',
  max_connections: '100',
  timezone: 'UTC',
};

const SHOWN = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
];

const PREFIX = 'tidemark_bench_';

/** @param folder for its files, removed by the caller. */
export async function startPostgres(folder: string): Promise<BenchServer> {
  const password = 'throwaway';
  const cluster = await startCluster({
    dataDir: join(folder, 'postgres'),
    logFile: join(folder, 'postgres.log'),
    port: await freePort(),
    password,
    settings: SETTINGS,
  });
  const url = `postgres://postgres:${password}@127.0.0.1:${cluster.port}/postgres`;
  return openServer('postgres', url, 'embedded-postgres', () => cluster.stop('immediate'));
}

/** The server of TEST_TIMESCALE_URL, or one that the tests would find; null where there is none. */
export async function findTimescale(folder: string): Promise<BenchServer | null> {
  const found = await startTimescale(folder);
  if (!found) return null;
  return openServer('timescale', found.url, found.source, found.stop);
}

async function openServer(
  engine: Engine,
  url: string,
  source: string,
  stop: () => Promise<void>,
): Promise<BenchServer> {
  try {
    await removeLeftovers(url);
    const postmaster = await withClient(url, findPostmaster);
    const description = { source, ...(await describe(url)) };
    let made = 0;
    const createDatabase = async (content: 'empty' | 'migrated'): Promise<BenchDatabase> => {
      const name = `${PREFIX}${process.pid}_${++made}`;
      const database = withDatabase(url, name);
      const drop = () =>
        withClient(url, async (client) => {
          await client.query(`drop database if exists ${name} with (force)`);
        });
      await withClient(url, (client) => client.query(`create database ${name}`));
      try {
        await withClient(database, async (client) => {
          if (content === 'migrated') await migrate(client);
          else if (engine === 'timescale') await client.query('create extension if not exists timescaledb');
          if (content === 'migrated') await assertEngine(client, engine);
          await client.query('checkpoint');
        });
      } catch (error) {
        await drop();
        throw error;
      }
      return { url: database, engine, drop };
    };
    return { engine, description, postmaster, createDatabase, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assertEngine(client: pg.Client, expected: Engine): Promise<void> {
  const { rows } = await client.query<{ engine: Engine }>('select engine from installation');
  if (rows[0]!.engine !== expected) {
    throw new Error(`the migrations chose the ${rows[0]!.engine} engine where ${expected} was expected`);
  }
}

/** Databases of runs that were killed: their process is gone, and nobody is connected. */
async function removeLeftovers(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      `select datname from pg_database d
       where starts_with(datname, $1) and not exists (
         select from pg_stat_activity a where a.datid = d.oid and a.backend_type = 'client backend')`,
      [PREFIX],
    );
    for (const { datname } of rows) {
      if (isRunning(Number(datname.slice(PREFIX.length).split('_')[0]))) continue;
      await client.query(`drop database if exists ${datname} with (force)`);
    }
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function describe(url: string): Promise<Record<string, string>> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string; value: string }>(
      `select name, current_setting(name) as value from unnest($1::text[]) as name
       union all
       select 'PostgreSQL', current_setting('server_version')
       union all
       select 'TimescaleDB', default_version from pg_available_extensions
       where name = 'timescaledb' and current_setting('shared_preload_libraries') like '%timescaledb%'`,
      [SHOWN],
    );
    return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  });
}

/** Connects for the time of some work. */
export async function withClient<Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
