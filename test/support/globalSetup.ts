import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { freePort } from '../../src/local/freePort.ts';
import { startCluster } from '../../src/local/postgresCluster.ts';
import { startRedis } from './redisServer.ts';
import { removeRunFolder, runFolder, sweepRunFolders } from './runFolder.ts';
import { startTimescale } from './timescaleServer.ts';

type Stop = () => Promise<void>;

/** Starts the servers that the chosen projects need, and stops them when the run is over, however it ended. */
export default async function globalSetup(project: TestProject): Promise<Stop> {
  const chosen = new Set(project.vitest.projects.map(({ name }) => name));
  const stops: Stop[] = [];
  const stopAll = async () => {
    for (const stop of stops.reverse()) await stop();
  };
  if ([...chosen].every((name) => name === 'unit')) return stopAll;

  await sweepRunFolders();
  const dir = await runFolder();
  stops.push(() => removeRunFolder(dir));
  try {
    const redis = await startRedis();
    stops.push(redis.stop);
    project.provide('redisUrl', redis.url);

    const password = 'throwaway';
    const cluster = await startCluster({
      dataDir: join(dir, 'postgres'),
      logFile: join(dir, 'postgres.log'),
      port: await freePort(),
      password,
      settings: { fsync: 'off', full_page_writes: 'off', max_connections: '200', timezone: 'UTC' },
    });
    stops.push(() => cluster.stop('immediate'));
    project.provide('postgresUrl', `postgres://postgres:${password}@127.0.0.1:${cluster.port}/postgres`);

    const prefix = `tidemark_test_${process.pid}_`;
    project.provide('databasePrefix', prefix);
    project.provide(
      'timescaleUrl',
      chosen.has('timescale') ? await provideTimescale(dir, prefix, stops) : null,
    );
    return stopAll;
  } catch (error) {
    await stopAll();
    throw error;
  }
}

async function provideTimescale(dir: string, prefix: string, stops: Stop[]): Promise<string | null> {
  const timescale = await startTimescale(dir);
  if (!timescale) {
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
  console.log(`tests: TimescaleDB from ${timescale.source}`);
  stops.push(timescale.stop, () => dropDatabases(timescale.url, prefix));
  return timescale.url;
}

/** What tests that were interrupted have left on a server that outlives the run. */
async function dropDatabases(url: string, prefix: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query('select datname from pg_database where starts_with(datname, $1)', [
      prefix,
    ]);
    for (const { datname } of rows) await client.query(`drop database if exists ${datname} with (force)`);
  } finally {
    await client.end();
  }
}
