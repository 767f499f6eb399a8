import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { removeRunFolder, runFolder, sweepRunFolders } from './runFolder.ts';
import { providePostgres, provideRedis, provideTimescale, type Server } from './servers.ts';
import { makeTemplate } from './templateDatabase.ts';

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
    const prefix = `tidemark_test_${process.pid}_`;
    project.provide('databasePrefix', prefix);
    /** Databases go before the server, which may outlive the run. */
    const stopAfter = (server: Server) => stops.push(server.stop, () => dropDatabases(server.url, prefix));

    const redis = await provideRedis();
    stops.push(redis.stop);
    project.provide('redisUrl', redis.url);

    const postgres = await providePostgres(dir);
    stopAfter(postgres);
    await makeTemplate(postgres.url, prefix, 'postgres');
    project.provide('postgresUrl', postgres.url);

    const timescale = chosen.has('timescale') ? await provideTimescale(dir) : null;
    if (timescale) {
      stopAfter(timescale);
      await makeTemplate(timescale.url, prefix, 'timescale');
    }
    project.provide('timescaleUrl', timescale?.url ?? null);
    return stopAll;
  } catch (error) {
    await stopAll();
    throw error;
  }
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
