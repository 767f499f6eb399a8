import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { describe, inject } from 'vitest';
import { withDatabase } from './databaseUrl.ts';
import { MIGRATED_NOW, templateName } from './templateDatabase.ts';

export interface TestDatabase {
  /** Superuser URL of a migrated database that nobody else uses. */
  url: string;
  engine: 'postgres' | 'timescale';
  /** Ends its sessions and removes it. */
  drop(): Promise<void>;
}

/** Makes a database on the server of this project's engine, as if it had been migrated now: a copy of the run's template. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const database = await create(`template ${templateName(inject('databasePrefix'))} strategy file_copy`);
  try {
    await withClient(database.url, (client) => client.query(MIGRATED_NOW));
  } catch (error) {
    await database.drop();
    throw error;
  }
  return database;
}

/** The same, not migrated. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return create('');
}

async function create(like: string): Promise<TestDatabase> {
  const engine = inject('engine');
  const server = engine === 'timescale' ? inject('timescaleUrl') : inject('postgresUrl');
  if (!server) throw new Error('there is no TimescaleDB in this run: use describeEngine');
  const name = `${inject('databasePrefix')}${randomBytes(6).toString('hex')}`;
  const url = withDatabase(server, name);
  const drop = () =>
    withClient(server, (client) => client.query(`drop database if exists ${name} with (force)`));

  await withClient(server, (client) => client.query(`create database ${name} ${like}`));
  return { url, engine, drop };
}

/** `describe` for tests that need a database: skipped in the timescale project of a run without TimescaleDB. */
export function describeEngine(name: string, tests: () => void): void {
  const missing = inject('engine') === 'timescale' && inject('timescaleUrl') === null;
  describe.skipIf(missing)(name, tests);
}

async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
