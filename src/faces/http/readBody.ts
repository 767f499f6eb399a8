import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { Context } from 'hono';
import { TidemarkError } from '../../model/errors.ts';
import { requestHeader } from './nodeHttp.ts';

const unzip = promisify(gunzip);

/**
 * The request's body, decompressed, never more than `maxBytes` of it: a longer one is refused without being read to
 * its end, a gzip bomb as soon as it has grown past the limit.
 *
 * @throws {TidemarkError} `body_too_large`, `unsupported_encoding`, `invalid_encoding`; `invalid_request` when the
 * caller has gone before it was all there.
 */
export async function readBody(c: Context, maxBytes: number): Promise<Buffer> {
  const isGzip = contentEncoding(c, ['gzip', 'x-gzip']) !== undefined;
  const length = requestHeader(c, 'content-length');
  if (length !== undefined && Number(length) > maxBytes) throw tooLarge(maxBytes);
  const reading =
    length === undefined ? readChunks(c.req.raw.body, maxBytes) : c.req.arrayBuffer().then(Buffer.from);
  const raw = await reading.catch((error: unknown) => {
    if (error instanceof TidemarkError) throw error;
    throw new TidemarkError('invalid_request', 'the body broke off', { cause: error });
  });
  return isGzip ? decompress(raw, maxBytes) : raw;
}

/**
 * How the body is encoded; undefined: it is not. `identity` and an empty field say nothing.
 *
 * @param taken codings that are understood, the first by its own name.
 * @throws {TidemarkError} `unsupported_encoding`, with those that are (RFC 9110 §12.5.3).
 */
export function contentEncoding(c: Context, taken: string[]): string | undefined {
  const header = requestHeader(c, 'content-encoding');
  if (header === undefined) return undefined;
  const codings = header
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings.length === 0) return undefined;
  if (codings.length === 1 && taken.includes(codings[0]!)) return codings[0];
  const accepted = [...taken.slice(0, 1), 'identity'];
  throw new TidemarkError('unsupported_encoding', `Content-Encoding may be ${accepted.join(' or ')}`, {
    headers: { 'Accept-Encoding': accepted.join(', ') },
  });
}

async function readChunks(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Buffer> {
  if (!body) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

async function decompress(raw: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await unzip(raw, { maxOutputLength: maxBytes, chunkSize: chunkSizeFor(raw) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new TidemarkError('invalid_encoding', 'the body is not valid gzip');
  }
}

/** Bounds of what is unpacked at a time, in bytes. */
const MIN_CHUNK = 16_384;
const MAX_CHUNK = 1_048_576;

/**
 * As much as the body says it unpacks to (RFC 1952 §2.3.1, ISIZE), within bounds: between two chunks a whole turn of the
 * event loop passes. With Node's 16 KiB, 8 MiB took 512 of them, which under load was more than ten seconds.
 */
function chunkSizeFor(raw: Buffer): number {
  const says = raw.length < 4 ? 0 : raw.readUInt32LE(raw.length - 4);
  return Math.min(Math.max(says, MIN_CHUNK), MAX_CHUNK);
}

function tooLarge(maxBytes: number): TidemarkError {
  return new TidemarkError('body_too_large', `a body may have at most ${maxBytes} bytes, decompressed`);
}
