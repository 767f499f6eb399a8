import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { StartupError } from '../errors.ts';
import { folderFault } from '../local/folderFault.ts';

const CHUNK_BYTES = 262_144;

/** A file to import. */
export interface Input {
  /** Its content, decompressed where it is gzip, in chunks. Ends with an error when it cannot be read to its end. */
  chunks: AsyncIterable<Buffer>;
  /** Size of the file as it lies on disk, in bytes. */
  totalBytes: number;
  /** How much of it has been read. */
  readBytes(): number;
  close(): Promise<void>;
}

/**
 * Opens a file; whether it is compressed is told by its first bytes, not by its name.
 *
 * @throws {StartupError} when it cannot be read, or is UTF-16.
 */
export async function openInput(path: string): Promise<Input> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    const stat = await file.stat();
    if (!stat.isFile()) throw new StartupError(`${path} is not a file`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    const magic = bytesRead === 2 ? buffer.toString('latin1') : '';
    if (magic === '\xff\xfe' || magic === '\xfe\xff') {
      throw new StartupError(`${path} is UTF-16; convert it to UTF-8`);
    }
    const raw = file.createReadStream({ start: 0, highWaterMark: CHUNK_BYTES });
    const content =
      magic === '\x1f\x8b'
        ? pipeline(raw, createGunzip({ chunkSize: CHUNK_BYTES }), () => undefined) // its error is met by the reader
        : raw;
    return {
      chunks: content,
      totalBytes: stat.size,
      readBytes: () => raw.bytesRead,
      async close() {
        content.destroy();
        raw.destroy();
        await file?.close().catch(() => undefined);
      },
    };
  } catch (error) {
    await file?.close().catch(() => undefined);
    throw fileFault(path, error);
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
