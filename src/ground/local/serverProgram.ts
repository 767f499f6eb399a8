import { spawn } from 'node:child_process';
import { chmod, cp, lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname, join } from 'node:path';
import { StartupError } from '../../model/errors.ts';
import { environmentOfPrograms } from '../config/loadConfig.ts';
import type { PostgresBinaries } from './postgresBinaries.ts';
import type { Account } from './serverAccount.ts';

/** Where root keeps a copy of the programs when their own folder is closed to the server's user. */
const COPIES = '/var/cache/tidemark';

/** The place a process stands in, by a name that asks nothing of the folders above it. */
export const WORKING_DIRECTORY = '/proc/self/cwd';

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The environment of every PostgreSQL program: nothing of ours reaches it, neither PG* settings nor secrets. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { ...environmentOfPrograms(), LC_ALL: 'C', TZ: 'UTC' };
}

/** Runs a program to its end as `account` and keeps what it said. Rejects when it cannot be run at all. */
export function runProgram(
  program: string,
  args: string[],
  options: { account?: Account | undefined; cwd?: string } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...options.account,
      ...(options.cwd && { cwd: options.cwd }),
      env: programEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] += text;
      });
    }
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
  });
}

/**
 * The major version of these programs, which also shows that they run here.
 *
 * @throws {StartupError} when they do not.
 */
export async function majorVersion(
  binaries: PostgresBinaries,
  account: Account | undefined,
): Promise<number> {
  const hint = 'set DATABASE_URL to use another server';
  const version = await runProgram(binaries.postgres, ['--version'], { account }).catch((error) => {
    throw new StartupError(`cannot run ${binaries.postgres} on this machine (${error.code}): ${hint}`, {
      cause: error,
    });
  });
  const major = /\(PostgreSQL\) (\d+)/.exec(version.stdout)?.[1];
  if (major === undefined) {
    const reason = version.stderr.trim().split('\n')[0] || `exit code ${version.code}`;
    throw new StartupError(`cannot run PostgreSQL on this machine (${reason}): ${hint}`);
  }
  return Number(major);
}

/** Whether `account` (undefined: we ourselves) may enter every folder on the way to `path`. */
export async function reachable(path: string, account: Account | undefined): Promise<boolean> {
  if (!account) return true;
  const { code } = await runProgram('/bin/sh', ['-c', 'test -x "$0"', path], { account, cwd: '/' });
  return code === 0;
}

/**
 * How the server is told its data directory. A user who may not enter a parent folder (a checkout in root's
 * home) is started inside the directory and told "where you stand": the working directory is entered before
 * the user changes.
 *
 * @throws {StartupError} where the system has no name for the place a process stands in.
 */
export async function dataDirArgument(dataDir: string, account: Account | undefined): Promise<string> {
  if (await reachable(dataDir, account)) return dataDir;
  if (platform() === 'linux') return WORKING_DIRECTORY;
  throw new StartupError(
    `PostgreSQL does not run as root, and user id ${account?.uid} may not enter every parent of ${dataDir}: start as another user, or set DATA_DIR to a folder outside root's home`,
  );
}

/**
 * Programs that `account` may run: these, or a copy in a folder open to all.
 *
 * @throws {StartupError} when no copy can be made.
 */
export async function runnableBinaries(
  binaries: PostgresBinaries,
  account: Account | undefined,
): Promise<PostgresBinaries> {
  if (await reachable(binaries.postgres, account)) return binaries;
  const native = dirname(dirname(binaries.postgres));
  try {
    const manifest = JSON.parse(await readFile(join(dirname(native), 'package.json'), 'utf8'));
    const copy = join(COPIES, `${manifest.name.replaceAll(/[@/]/g, '-').slice(1)}-${manifest.version}`);
    await copyPrograms(native, copy);
    return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
  } catch (error) {
    throw new StartupError(
      `PostgreSQL does not run as root, user id ${account?.uid} may not enter ${native}, and it cannot be copied to ${COPIES}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/**
 * The folder in which root keeps programs for the server's user.
 *
 * @throws when it is not root's alone.
 */
export async function rootsPrograms(): Promise<string> {
  await mkdir(COPIES, { recursive: true });
  const folder = await lstat(COPIES);
  if (!folder.isDirectory() || folder.uid !== 0 || (folder.mode & 0o022) !== 0) {
    throw new Error(`${COPIES} is not root's alone`);
  }
  await chmod(COPIES, 0o755);
  return COPIES;
}

async function copyPrograms(native: string, copy: string): Promise<void> {
  await rootsPrograms();
  if (await lstat(copy).catch(() => undefined)) return;
  const unfinished = `${copy}.${process.pid}`;
  await cp(native, unfinished, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !source.endsWith('.a'),
  });
  await runProgram('chmod', ['-R', 'go+rX', unfinished]);
  try {
    await rename(unfinished, copy);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!(await lstat(copy).catch(() => undefined))) throw error;
  }
}
