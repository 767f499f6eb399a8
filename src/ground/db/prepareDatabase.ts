import type pg from 'pg';
import { StartupError } from '../../model/errors.ts';
import type { DatabaseConfig } from '../config/database.ts';
import type { Logger } from '../telemetry/logger.ts';
import { adoptRestored } from './adoptRestored.ts';
import { connect, connectionSettings } from './connections.ts';
import { migrate } from './migrate.ts';
import { errorCode } from './sqlstate.ts';

/** The oldest server the SQL is written for: `nulls not distinct` came with it. */
export const OLDEST_SERVER = 150_000;

/** The oldest TimescaleDB that the migrations take (0023_latency_sketch). */
export const OLDEST_TIMESCALE = [2, 28] as const;

/**
 * Connects, migrates, and puts right what a restore leaves behind.
 *
 * @returns the names of the migrations and functions applied, as `migrate` has them.
 * @throws {StartupError} when the server cannot be reached, is too old or isolates transactions otherwise, or its schema
 * is newer than this version.
 */
export async function prepareDatabase(url: string, database: DatabaseConfig, log: Logger): Promise<string[]> {
  let client: pg.Client | undefined;
  try {
    client = await connect(connectionSettings(url, database, 'migrate'), log);
    const { rows } = await client.query<{ version: number; isolation: string }>(
      `select current_setting('server_version_num')::int as version,
         current_setting('default_transaction_isolation') as isolation`,
    );
    const { version, isolation } = rows[0]!;
    if (version < OLDEST_SERVER) throw new StartupError('PostgreSQL 15 or newer is needed');
    // Sessions of ours say it themselves. Behind a pooler there are none, and what waits for a lock would read what was there before.
    if (isolation !== 'read committed')
      throw new StartupError(
        `default_transaction_isolation is "${isolation}" behind the pooler: set it to "read committed" for this database or user`,
      );
    const applied = await migrate(client);
    const adopted = await adoptRestored(client);
    if (adopted > 0)
      log.info({ rows: adopted }, 'this database was restored from a backup of another server');
    return applied;
  } catch (error) {
    if (error instanceof StartupError) throw error;
    throw unusable(url, error);
  } finally {
    await client?.end().catch(() => undefined);
  }
}

/** Why the database cannot be used, in one line and without user and password. */
export function unusable(url: string, error: unknown): StartupError {
  return new StartupError(`the database at ${placeOf(url)} cannot be used: ${reasonOf(error)}`, {
    cause: error,
  });
}

/** The server and database of a connection string, without user and password. */
export function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

export function reasonOf(error: unknown): string {
  const code = errorCode(error);
  if (code === 'ECONNREFUSED') return 'nothing answers there';
  if (code === 'ENOTFOUND') return 'there is no such host';
  if (code === '28P01' || code === '28000') return 'the user or password is wrong';
  if (code === '3D000') return 'there is no such database';
  if (code === '42501') return `a privilege is missing: ${(error as Error).message}`;
  // What pg says of a statement on a connection that went away between two of them.
  if (/is not queryable$/.test((error as Error).message)) return 'the connection was lost';
  const message = (error as Error).message || String((error as AggregateError).errors?.[0] ?? error);
  return message.split('\n', 1)[0]!;
}
