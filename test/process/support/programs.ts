import pg from 'pg';
import { afterEach, beforeAll, inject } from 'vitest';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { buildProgram } from '../../support/buildProgram.ts';
import { withDatabase } from '../../support/databaseUrl.ts';
import { type Program, runProgram } from './runProgram.ts';

export const ADMIN_KEY = 'tm_admin_key_of_the_process_tests';
/** Starting takes a second, and much longer beside other tests. */
export const START_MS = 60_000;

const programs: Program[] = [];
const databases: { server: string; name: string }[] = [];

/** For a file that starts programs on databases of its own: builds them first, and ends and drops after each test. */
export function cleanUpPrograms(): void {
  beforeAll(buildProgram, 120_000);

  afterEach(async () => {
    for (const { child, exited } of programs.splice(0)) {
      child.kill('SIGKILL');
      await exited;
    }
    for (const { server, name } of databases.splice(0))
      await query(server, `drop database if exists ${name} with (force)`);
  });
}

/** One statement on a connection of its own. */
export async function query(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

/** A migrated database on one of the servers, by its URL. */
export async function newDatabase(server: string): Promise<string> {
  const name = `${inject('databasePrefix')}stop${databases.length}${process.pid}`;
  databases.push({ server, name });
  await query(server, `create database ${name}`);
  const url = withDatabase(server, name);
  const client = new pg.Client(url);
  await client.connect();
  await migrate(client);
  await client.end();
  return url;
}

/** Starts `tidemark ARGS` on a database, on any free port. */
export function start(url: string, args: string[], env: Record<string, string> = {}): Program {
  const base = { TIDEMARK_PROFILE: 'test', DATABASE_URL: url, ADMIN_KEY, PORT: '0' };
  const started = runProgram(args, { ...base, ...env });
  programs.push(started);
  return started;
}
