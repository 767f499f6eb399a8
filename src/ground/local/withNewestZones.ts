import { copyFile, link, lstat, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { newerZones } from './newestZones.ts';
import type { PostgresBinaries } from './postgresBinaries.ts';
import type { Account } from './serverAccount.ts';
import { rootsPrograms } from './serverProgram.ts';

/**
 * The same programs, with the system's time zones where those are newer than what they bring. PostgreSQL finds its
 * files by where its program lies and has no setting for this one, so a folder is made that is as its own, but for the
 * time zones: the programs once more, the rest links. The release is in its name, so an update makes another one.
 *
 * @param dataDir beside which the folder is made; root makes it where the server's account can enter it.
 * @param folders where systems keep their time zones.
 * @returns the programs as they are where theirs are as new, or the folder cannot be made.
 */
export async function withNewestZones(
  binaries: PostgresBinaries,
  dataDir: string,
  account: Account | undefined,
  log: (line: string) => void,
  folders?: string[],
): Promise<PostgresBinaries> {
  const native = dirname(dirname(binaries.postgres));
  const share = join(native, 'share', 'postgresql');
  const newer = await newerZones(join(share, 'timezone'), folders);
  if (!newer) return binaries;
  const name = `${await nameOf(native)}-zones-${newer.release}`;
  const keep = (error: unknown) => {
    log(
      `PostgreSQL keeps its own time zones, older than those of ${newer.folder}: ${(error as Error).message}`,
    );
    return binaries;
  };
  let target: string;
  try {
    target = join(account ? await rootsPrograms() : dirname(dataDir), name);
  } catch (error) {
    return keep(error);
  }
  const made = { initdb: join(target, 'bin', 'initdb'), postgres: join(target, 'bin', 'postgres') };
  if (await lstat(made.postgres).catch(() => undefined)) return made;
  const unfinished = `${target}.${process.pid}`;
  try {
    await mkdir(join(unfinished, 'bin'), { recursive: true, mode: 0o755 });
    await mkdir(join(unfinished, 'share', 'postgresql'), { recursive: true, mode: 0o755 });
    for (const program of [binaries.initdb, binaries.postgres]) {
      const place = join(unfinished, 'bin', basename(program));
      await link(program, place).catch(() => copyFile(program, place)); // not across file systems
    }
    await symlink(join(native, 'lib'), join(unfinished, 'lib'));
    for (const name of await readdir(share)) {
      const source = name === 'timezone' ? newer.folder : join(share, name);
      await symlink(source, join(unfinished, 'share', 'postgresql', name));
    }
    await rename(unfinished, target);
    return made;
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (await lstat(made.postgres).catch(() => undefined)) return made; // somebody else was quicker
    return keep(error);
  }
}

/** With the version in it: of the package, or of the copy that was made of it. */
async function nameOf(native: string): Promise<string> {
  try {
    const { version } = JSON.parse(await readFile(join(dirname(native), 'package.json'), 'utf8'));
    return `postgres-${version}`;
  } catch {
    return basename(native);
  }
}
