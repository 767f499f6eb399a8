import { runner } from 'node-pg-migrate';
import type pg from 'pg';
import { ensureRoles } from './roles.ts';
import { MIGRATIONS, refuseNewerSchema } from './schemaState.ts';
import { applyFunctions, FUNCTIONS } from './sqlFunctions.ts';

/** Lets instances starting together migrate one after the other. */
const MIGRATION_LOCK = "hashtext('tidemark.migrate')";

/**
 * Brings the schema up to this version, wholly or not at all: first the migrations, then every function whose text is
 * older in the database (docs/adr/0035). Safe to run from several instances at once: one migrates, the others wait and
 * find nothing to do.
 *
 * @param functions the folder of the functions; another one is for tests.
 * @returns what this call has applied: the names of migrations, then `function NAME` for each function.
 * @throws {StartupError} when the database holds migrations this version does not know, or the
 * login lacks rights that it cannot give itself.
 */
export async function migrate(client: pg.Client, functions = FUNCTIONS): Promise<string[]> {
  // The transaction begins here, so that the lock is one of a transaction: a session's does not hold behind a pooler.
  // What is read once the lock is held must be what is there by then, whatever isolation is the server's default.
  await client.query('begin isolation level read committed');
  try {
    await client.query(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    await refuseNewerSchema(client);
    await ensureRoles(client);
    const migrations = await runner({
      dbClient: withinTransaction(client),
      dir: MIGRATIONS,
      ignorePattern: 'support',
      direction: 'up',
      migrationsTable: 'schema_migration',
      noLock: true,
      singleTransaction: true, // the one begun above
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    });
    const names = await applyFunctions(client, functions);
    await client.query('commit');
    return [...migrations.map(({ name }) => name), ...names.map((name) => `function ${name}`)];
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

/** The client, but for what the runner says to begin and end a transaction: it would end ours, and with it the lock. */
function withinTransaction(client: pg.Client): pg.ClientBase {
  const query = async (text: string, values?: unknown[]) =>
    /^(begin|commit|rollback);?$/i.test(text) ? { rows: [] } : client.query(text, values);
  return { query } as unknown as pg.ClientBase;
}
