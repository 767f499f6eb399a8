import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { StartupError } from '../../model/errors.ts';
import type { Queryable } from './queryable.ts';
import { compareFunctions } from './sqlFunctions.ts';

export const MIGRATIONS = fileURLToPath(new URL('../../../migrations', import.meta.url));

interface MigrationState {
  /** Whether anything has been migrated at all. */
  present: boolean;
  /** Migrations of this version that the database lacks, in their order. */
  pending: string[];
  /** Migrations that this version does not know: it is the older one. */
  unknown: string[];
}

export interface SchemaState extends MigrationState {
  /** By name. Compared once no migration is pending: they come after those. */
  functions: {
    /** Those that are older in the database than in this version. */
    pending: string[];
    /** Those that a newer version has put there. This one works with them. */
    newer: string[];
  };
}

export async function readSchemaState(db: Queryable): Promise<SchemaState> {
  const migrations = await readMigrations(db);
  if (migrations.pending.length > 0) return { ...migrations, functions: { pending: [], newer: [] } };
  const { pending, newer } = await compareFunctions(db);
  return { ...migrations, functions: { pending: pending.map(({ name }) => name), newer } };
}

async function readMigrations(db: Queryable): Promise<MigrationState> {
  const files = await readdir(MIGRATIONS);
  const known = files.filter((file) => /^\d+_\w+\.js$/.test(file)).map((file) => file.replace(/\.js$/, ''));
  const { rows: tables } = await db.query(`select to_regclass('schema_migration') is not null as there`);
  if (!tables[0].there) return { present: false, pending: known.sort(), unknown: [] };
  const { rows } = await db.query<{ name: string }>('select name from schema_migration order by id');
  const applied = rows.map(({ name }) => name);
  return {
    present: true,
    pending: known.filter((name) => !applied.includes(name)).sort(),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

/** @throws {StartupError} when the database holds migrations that this version does not know. */
export async function refuseNewerSchema(db: Queryable): Promise<void> {
  const { unknown } = await readMigrations(db);
  if (unknown.length === 0) return;
  throw new StartupError(
    `the database has a newer schema than this version of Tidemark (migration ${unknown[0]}); upgrade Tidemark`,
  );
}

/** @throws {StartupError} when the schema is not that of this version, but for functions of a newer one. */
export async function requireSchema(db: Queryable): Promise<void> {
  await refuseNewerSchema(db);
  const { pending, functions } = await readSchemaState(db);
  if (pending.length + functions.pending.length > 0) {
    throw new StartupError('the schema of the database is not up to date: run "tidemark migrate"');
  }
}
