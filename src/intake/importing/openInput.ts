import { open } from 'node:fs/promises';
import { errorCode } from '../../ground/db/sqlstate.ts';
import { folderFault } from '../../ground/local/folderFault.ts';
import { StartupError } from '../../model/errors.ts';
import { gunzip } from './gunzip.ts';

const CHUNK_BYTES = 262_144;

/** Stands for standard input. */
export const STDIN = '-';

/** A file to import. */
export interface Input {
  /** Its content, decompressed where it is gzip, in chunks. Ends with an error when it cannot be read to its end. */
  chunks: AsyncIterable<Buffer>;
  /** Size of the file as it lies on disk, in bytes; null where nobody knows: it comes through a pipe. */
  totalBytes: number | null;
  /** How much of it has been read. */
  readBytes(): number;
  /** Bytes behind the end of the compressed data that were passed over. */
  trailingBytes(): number;
  close(): Promise<void>;
}

/**
 * Opens a file, a pipe, or standard input; whether it is compressed is told by its first bytes, not by its name.
 *
 * @throws {StartupError} when it cannot be read, or is UTF-16.
 */
export async function openInput(path: string): Promise<Input> {
  try {
    const { raw, totalBytes, close } = await openRaw(path);
    try {
      let readBytes = 0;
      let trailingBytes = 0;
      const { head, chunks } = await beginningOf(raw, (bytes) => {
        readBytes += bytes;
      });
      const magic = head.toString('latin1');
      if (magic === '\xff\xfe' || magic === '\xfe\xff') {
        throw new StartupError(`${path} is UTF-16; convert it to UTF-8`);
      }
      const onTrailing = (bytes: number) => {
        trailingBytes = bytes;
      };
      return {
        chunks: told(magic === '\x1f\x8b' ? gunzip(chunks, onTrailing) : chunks),
        totalBytes,
        readBytes: () => readBytes,
        trailingBytes: () => trailingBytes,
        close,
      };
    } catch (error) {
      await close();
      throw error;
    }
  } catch (error) {
    throw fileFault(path, error);
  }
}

interface Raw {
  raw: AsyncIterable<Buffer>;
  totalBytes: number | null;
  close(): Promise<void>;
}

async function openRaw(path: string): Promise<Raw> {
  if (path === STDIN) {
    return { raw: process.stdin, totalBytes: null, close: async () => void process.stdin.destroy() };
  }
  const file = await open(path);
  const close = () => file.close().catch(() => undefined);
  try {
    const stat = await file.stat();
    if (stat.isDirectory()) throw new StartupError(`${path} is a folder`);
    const raw = file.createReadStream({ highWaterMark: CHUNK_BYTES });
    return {
      raw,
      totalBytes: stat.isFile() ? stat.size : null,
      async close() {
        raw.destroy();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The first two bytes, and everything with them. */
async function beginningOf(
  raw: AsyncIterable<Buffer>,
  onRead: (bytes: number) => void,
): Promise<{ head: Buffer; chunks: AsyncIterable<Buffer> }> {
  const rest = raw[Symbol.asyncIterator]();
  let begun: Buffer = Buffer.alloc(0);
  while (begun.length < 2) {
    const next = await rest.next();
    if (next.done) break;
    begun = Buffer.concat([begun, next.value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    onRead(begun.length);
    if (begun.length > 0) yield begun;
    for (;;) {
      const next = await rest.next();
      if (next.done) return;
      onRead(next.value.length);
      yield next.value;
    }
  }
  return { head: begun.subarray(0, 2), chunks: all() };
}

/** What the file system says is a reason not to go on, not a fault of ours. */
async function* told(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof StartupError || errorCode(error) === undefined) throw error;
    throw new StartupError(`the file cannot be read on: ${(error as Error).message}`, { cause: error });
  }
}

function fileFault(path: string, error: unknown): unknown {
  const fault = folderFault(path, error);
  if (fault === error || !(fault instanceof StartupError)) return error;
  const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : undefined;
  return new StartupError(
    reason === undefined ? fault.message.replace('use the folder', 'read') : `${path}: ${reason}`,
    { cause: error },
  );
}
