import { runner } from 'node-pg-migrate';
import type pg from 'pg';
import { ensureRoles } from './roles.ts';
import { MIGRATIONS, refuseNewerSchema } from './schemaState.ts';

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
