import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartupError } from '../../model/errors.ts';
import { processStart } from './processes.ts';

/** How long an empty lock is taken for one that is just being written, in ms. */
const WRITING_MS = 500;
/** Between two looks at a lock, in ms. */
const WAIT_MS = 20;

/** Holds a data folder for one service. */
export interface ServiceLock {
  /** Lets go. Never throws. */
  release(): Promise<void>;
}

/**
 * Takes `service.pid` in `dataDir`. The lock of a process that has ended is taken over, also when its pid
 * belongs to another process by now.
 *
 * @throws {StartupError} when another service holds it.
 */
export async function lockService(dataDir: string): Promise<ServiceLock> {
  const path = join(dataDir, 'service.pid');
  const own = `${process.pid}\n${await processStart(process.pid)}\n`;
  while (!(await create(path, own))) {
    const found = await readHolder(path);
    const pid = await livePid(found);
    if (pid !== undefined) throw new StartupError(`another Tidemark (pid ${pid}) is running on ${dataDir}`);
    await removeStale(path, found, own);
  }
  return {
    async release() {
      if ((await readText(path)) === own) await rm(path, { force: true }).catch(() => undefined);
    },
  };
}

async function create(path: string, content: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(content);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function readHolder(path: string): Promise<string> {
  for (const deadline = Date.now() + WRITING_MS; ; await delay(WAIT_MS)) {
    const found = await readText(path);
    if (found !== '' || Date.now() > deadline) return found;
  }
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

async function livePid(content: string): Promise<number | undefined> {
  const [pid, start] = content.split('\n');
  const running = await processStart(Number(pid));
  return running !== undefined && running === start ? Number(pid) : undefined;
}

/**
 * Removes a lock that is still the stale one. Only who has made `service.pid.stale` may: of two that find the same
 * lock, the slower would remove the new one. Where another is at it, this waits a moment.
 */
async function removeStale(path: string, stale: string, own: string): Promise<void> {
  const turn = `${path}.stale`;
  if (!(await create(turn, own))) {
    if ((await livePid(await readHolder(turn))) === undefined) await rm(turn, { force: true });
    else await delay(WAIT_MS);
    return;
  }
  try {
    if ((await readText(path)) === stale) await rm(path, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
}
