import { chown, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StartupError } from '../../model/errors.ts';
import type { PostgresBinaries } from './postgresBinaries.ts';
import { explainFailure } from './postgresFailure.ts';
import type { Account } from './serverAccount.ts';
import { dataDirArgument, runProgram } from './serverProgram.ts';

/** What follows the data directory's name while it is being made. */
const UNFINISHED = '.new-';

export interface InitOptions {
  dataDir: string;
  port: number;
  user: string;
  password: string;
  binaries: PostgresBinaries;
  /** Major version of the binaries. */
  major: number;
  account: Account | undefined;
  /** False skips the fsync at the end: for clusters that are thrown away. */
  durable: boolean;
}

/**
 * Makes the data directory where there is none. It is made beside its place and moved there when whole, so an
 * interruption leaves nothing that a later start would take for a cluster.
 *
 * @returns whether one was made.
 * @throws {StartupError} when it cannot be made, or what is there is not for this version.
 */
export async function initCluster(options: InitOptions): Promise<boolean> {
  const { dataDir, major } = options;
  const version = await dataVersion(dataDir);
  if (version === String(major)) return false;
  if (version !== undefined) {
    throw new StartupError(
      `${dataDir} was made by PostgreSQL ${version} and this is PostgreSQL ${major}: move it away, or start the version that made it`,
    );
  }
  const content = await readdir(dataDir).catch(() => []);
  if (content.length > 0) {
    throw new StartupError(`${dataDir} is neither empty nor a PostgreSQL data directory`);
  }
  await removeUnfinished(dataDir);
  const staging = await mkdtemp(dataDir + UNFINISHED);
  try {
    await runInitdb(staging, options);
    await rename(join(staging, 'data'), dataDir);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return true;
}

/**
 * The initdb of a killed run may still be at work: its folder is removed under it, and never used again, since
 * it would write into ours.
 */
async function removeUnfinished(dataDir: string): Promise<void> {
  for (const name of await readdir(dirname(dataDir))) {
    if (!name.startsWith(basename(dataDir) + UNFINISHED)) continue;
    const path = join(dirname(dataDir), name);
    await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }).catch(() => undefined);
  }
}

async function dataVersion(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function runInitdb(staging: string, options: InitOptions): Promise<void> {
  const { account } = options;
  const data = join(staging, 'data');
  const passwordFile = join(staging, 'password');
  await mkdir(data, { mode: 0o700 });
  await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600 });
  if (account) {
    for (const path of [passwordFile, data, staging]) await chown(path, account.uid, account.gid);
  }
  const args = [
    ...['--pgdata', await dataDirArgument(data, account)],
    ...['--pwfile', '../password', '--username', options.user, '--auth', 'scram-sha-256'],
    ...['--encoding', 'UTF8', '--locale', 'C', '--data-checksums'],
    ...(options.major >= 17 ? ['--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'] : []),
    ...(options.durable ? [] : ['--no-sync']),
  ];
  const result = await runProgram(options.binaries.initdb, args, { account, cwd: data });
  if (result.code !== 0) {
    throw new StartupError(`PostgreSQL cannot be set up: ${explainFailure(result.stderr, options)}`);
  }
}
