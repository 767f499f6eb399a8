import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartupError } from '../errors.ts';
import { processStart } from './processes.ts';

/** How long an empty lock is taken for one that is just being written, in ms. */
const WRITING_MS = 500;

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
    await removeStale(path, found);
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
  for (const deadline = Date.now() + WRITING_MS; ; await delay(20)) {
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

/** Moved before it is removed: of two that find the same stale lock, the slower must not remove the new one. */
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readText(aside)) !== stale) await create(path, await readText(aside));
  await rm(aside, { force: true });
}
