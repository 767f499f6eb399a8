import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { StartupError } from '../../model/errors.ts';

const run = promisify(execFile);
const NAME = 'postgres';

/** Whom the server runs as. */
export interface Account {
  uid: number;
  gid: number;
}

/**
 * PostgreSQL refuses to run as root. For root: the owner of an existing data directory, else the system user
 * `postgres`, made where it is missing. For anybody else undefined: the server runs as the caller.
 *
 * @throws {StartupError} when the user cannot be made.
 */
export async function serverAccount(
  dataDir: string,
  log: (line: string) => void,
): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const existing = await stat(dataDir).catch(() => undefined);
  if (existing && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid };
  return (await lookUp()) ?? (await create(log));
}

async function lookUp(): Promise<Account | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', NAME]), run('id', ['-g', NAME])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

async function create(log: (line: string) => void): Promise<Account> {
  const options = ['--system', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/bin/false'];
  try {
    await run('groupadd', ['--system', '--force', NAME]);
    await run('useradd', [...options, '--gid', NAME, NAME]);
  } catch (error) {
    throw new StartupError(
      `PostgreSQL does not run as root, and the user "${NAME}" it would run as cannot be made (${firstLine(error)}): start as another user, or set DATABASE_URL`,
      { cause: error },
    );
  }
  log(`made the system user "${NAME}", since PostgreSQL does not run as root`);
  const made = await lookUp();
  if (!made) throw new StartupError(`the system user "${NAME}" was made and cannot be found`);
  return made;
}

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split('\n')[0]!;
}
