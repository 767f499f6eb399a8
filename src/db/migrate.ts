import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import type pg from 'pg';
import { StartupError } from '../errors.ts';
import { ensureRoles } from './roles.ts';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));
/** Lets instances starting together migrate one after the other. */
const MIGRATION_LOCK = "hashtext('tidemark.migrate')";

/**
 * Brings the schema up to this version, wholly or not at all. Safe to run from several instances at once: one
 * migrates, the others wait and find nothing to do.
 *
 * @returns the names of the migrations applied by this call.
 * @throws {StartupError} when the database holds migrations this version does not know, or the
 * login lacks rights that it cannot give itself.
 */
export async function migrate(client: pg.Client): Promise<string[]> {
  // The transaction begins here, so that the lock is one of a transaction: a session's does not hold behind a pooler.
  await client.query('begin');
  try {
    await client.query(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    await refuseNewerSchema(client);
    await ensureRoles(client);
    const applied = await runner({
      dbClient: client,
      dir: MIGRATIONS,
      ignorePattern: 'support',
      direction: 'up',
      migrationsTable: 'schema_migration',
      noLock: true,
      singleTransaction: true, // the one begun above
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    });
    return applied.map((migration) => migration.name);
  } finally {
    await client.query('commit').catch(() => undefined); // after a failure that is a rollback
  }
}

async function refuseNewerSchema(client: pg.Client): Promise<void> {
  const { rows: tables } = await client.query(`select to_regclass('schema_migration') is not null as there`);
  if (!tables[0].there) return;
  const known = (await readdir(MIGRATIONS)).map((file) => file.replace(/\.[a-z]+$/, ''));
  const { rows } = await client.query('select name from schema_migration where name <> all($1) limit 1', [
    known,
  ]);
  if (rows.length > 0) {
    throw new StartupError(
      `the database has a newer schema than this version of Tidemark (migration ${rows[0].name}); upgrade Tidemark`,
    );
  }
}
