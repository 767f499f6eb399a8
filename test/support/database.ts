import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { describe, inject } from 'vitest';
import { migrate } from '../../src/ground/db/migrate.ts';
import { withDatabase } from './databaseUrl.ts';

export interface TestDatabase {
  /** Superuser URL of a migrated database that nobody else uses. */
  url: string;
  engine: 'postgres' | 'timescale';
  /** Ends its sessions and removes it. */
  drop(): Promise<void>;
}

/** Makes a database on the server of this project's engine. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const database = await createEmptyDatabase();
  const { url, engine, drop } = database;
  try {
    await withClient(url, async (client) => {
      await migrate(client);
      const { rows } = await client.query('select engine from installation');
      if (rows[0].engine !== engine) throw new Error(`expected the ${engine} engine, got ${rows[0].engine}`);
    });
  } catch (error) {
    await drop();
    throw error;
  }
  return database;
}

/** The same, not migrated. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  const engine = inject('engine');
  const server = engine === 'timescale' ? inject('timescaleUrl') : inject('postgresUrl');
  if (!server) throw new Error('there is no TimescaleDB in this run: use describeEngine');
  const name = `${inject('databasePrefix')}${randomBytes(6).toString('hex')}`;
  const url = withDatabase(server, name);
  const drop = () =>
    withClient(server, (client) => client.query(`drop database if exists ${name} with (force)`));

  await withClient(server, (client) => client.query(`create database ${name}`));
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
