import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processStart, worksIn } from '../../src/ground/local/processes.ts';

const PREFIX = 'tidemark-test-';

const PID_FILES = ['postmaster.pid', 'redis.pid', 'pgbouncer.pid'];

/** Hands the folder on to the processes that vitest starts. */
const VARIABLE = 'TIDEMARK_TEST_FOLDER';

/** The temporary folder of this run, named by the pid that leads it. Made when it does not exist. */
export async function runFolder(): Promise<string> {
  process.env[VARIABLE] ??= join(tmpdir(), `${PREFIX}${process.pid}`);
  await mkdir(process.env[VARIABLE], { recursive: true, mode: 0o755 });
  return process.env[VARIABLE];
}

/** Ends every server that still runs in the folder, and removes it. */
export async function removeRunFolder(folder: string): Promise<void> {
  await killServersIn(folder);
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Ends and removes what runs that were killed have left behind. */
export async function sweepRunFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const owner = Number(name.slice(PREFIX.length));
    if (owner === process.pid || (await processStart(owner)) !== undefined) continue;
    await removeRunFolder(join(tmpdir(), name)).catch(() => undefined);
  }
}

/** Every server in a run folder works in the folder that holds its pid file. */
async function killServersIn(folder: string): Promise<void> {
  const files = await readdir(folder, { recursive: true }).catch(() => []);
  for (const file of files) {
    if (!PID_FILES.includes(basename(file))) continue;
    const pid = Number((await readFile(join(folder, file), 'utf8').catch(() => '')).split('\n')[0]);
    if (!(pid > 0) || !(await worksIn(pid, join(folder, file, '..')))) continue;
    process.kill(pid, 'SIGQUIT');
    const deadline = Date.now() + 5_000;
    while ((await processStart(pid)) !== undefined && Date.now() < deadline) await delay(20);
  }
}
