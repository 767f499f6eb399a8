import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { errorCode } from '../../ground/db/sqlstate.ts';
import { StartupError } from '../../model/errors.ts';

/**
 * Writes lines to a file, or to standard output where there is none; slowly, where that is slow. The file has its name
 * only once everything is in it and on disk: until then, and when anything fails, the name leads to what was there
 * before. A name that ends in `.gz` compresses.
 *
 * @throws {StartupError} when it cannot be written; AbortError when `signal` ends it.
 */
export async function writeOutput(
  path: string | undefined,
  lines: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<void> {
  if (path === undefined) {
    await pipeline(lines, process.stdout, { signal, end: false }).catch((error) => {
      throw errorCode(error) === 'EPIPE'
        ? new StartupError('standard output was closed before the end')
        : error;
    });
    return;
  }
  const target = await targetOf(path);
  const folder = dirname(target);
  const temporary = join(folder, `.${basename(target)}.${randomBytes(6).toString('hex')}.partial`);
  try {
    const sink = createWriteStream(temporary, { flags: 'wx', flush: true }); // on disk before it is closed
    if (target.endsWith('.gz')) await pipeline(lines, createGzip(), sink, { signal });
    else await pipeline(lines, sink, { signal });
    await rename(temporary, target);
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true });
    throw outputFault(path, error);
  }
}

/** Through links, so that what they lead to is replaced. */
async function targetOf(path: string): Promise<string> {
  const target = await realpath(path).catch(() => path);
  const there = await stat(target).catch(() => null);
  if (there && !there.isFile()) {
    throw new StartupError(`${path} is not a file; without --out, standard output is written to`);
  }
  return target;
}

/** The new name, too, is to outlive a crash of the machine. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(folder);
    await handle.sync();
  } catch {
    // not every file system can; the file itself is on disk
  } finally {
    await handle?.close();
  }
}

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such folder',
  ENOTDIR: 'there is a file where a folder is needed',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EFBIG: 'the file would be too large',
};

function outputFault(path: string, error: unknown): unknown {
  const reason = REASONS[errorCode(error) ?? ''];
  return reason === undefined ? error : new StartupError(`cannot write ${path}: ${reason}`, { cause: error });
}
