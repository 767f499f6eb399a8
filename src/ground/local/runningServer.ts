import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { processStart, worksIn } from './processes.ts';

/** What a server notes in its data directory. */
export interface LockFile {
  pid: number;
  port: number;
  /** Its start, or its recovery, is over. */
  ready: boolean;
}

/** A server process that owns a data directory. */
export interface RunningServer extends LockFile {
  /** As `processStart` gives it. */
  start: string;
}

/** The `postmaster.pid` of a data directory, whether its server still runs or not. */
export async function readLockFile(dataDir: string): Promise<LockFile | undefined> {
  const text = await readFile(lockFile(dataDir), 'utf8').catch(() => '');
  const lines = text.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7] === 'ready' };
}

/**
 * The server that runs on this data directory now. A `postmaster.pid` whose number meanwhile belongs to another
 * program is removed: PostgreSQL would take that program for its predecessor and refuse to start.
 */
export async function runningServer(dataDir: string): Promise<RunningServer | undefined> {
  const noted = await readLockFile(dataDir);
  if (!noted) return undefined;
  const start = await processStart(noted.pid);
  if (start === undefined) return undefined;
  const here = await worksIn(noted.pid, dataDir);
  if (here) return { ...noted, start };
  // A process that we may not look into is no server of ours; PostgreSQL knows what to make of it.
  if (here === false) await rm(lockFile(dataDir), { force: true });
  return undefined;
}

function lockFile(dataDir: string): string {
  return join(dataDir, 'postmaster.pid');
}
