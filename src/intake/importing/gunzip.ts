import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';
import { StartupError } from '../../model/errors.ts';

/** Compressed bytes that are taken at a time: they grow to at most 1,032 times as many (deflate's limit). */
const SLICE_BYTES = 32_768;
const OUTPUT_BYTES = 262_144;

/* RFC 1952 §2.3.1 */
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;

/**
 * Decompresses gzip (RFC 1952) as gunzip does: all members, one after another; what lies behind the last one is
 * passed over, zeros without a word. By hand because `createGunzip` fails on such bytes and keeps back what it has
 * decompressed beside them: up to 256 kB, here for ever.
 *
 * @param onTrailing told of how many bytes were passed over.
 * @throws {StartupError} when it is damaged, or ends too early; what comes before that has been handed out.
 */
export async function* gunzip(
  chunks: AsyncIterable<Buffer>,
  onTrailing: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const input = new Input(chunks);
  for (;;) {
    await skipHeader(input);
    yield* inflateMember(input);
    await input.skipZeros();
    if (await input.atEnd()) return;
    if (!(await input.isAt(0x1f, 0x8b))) break;
  }
  onTrailing(await input.drain());
}

async function* inflateMember(input: Input): AsyncGenerator<Buffer> {
  const inflate = createInflateRaw({ chunkSize: OUTPUT_BYTES });
  const output: Buffer[] = [];
  let ended = false;
  inflate.on('data', (data: Buffer) => output.push(data));
  inflate.once('end', () => {
    ended = true;
  });
  inflate.on('error', () => undefined); // met by `step`
  let checksum = 0;
  let length = 0;
  try {
    for (let given = 0; !ended; ) {
      const slice = await input.take(SLICE_BYTES);
      await step(inflate, (done) => (slice === null ? inflate.end(done) : inflate.write(slice, done)));
      given += slice?.length ?? 0;
      for (const data of output.splice(0)) {
        checksum = crc32(data, checksum);
        length = (length + data.length) >>> 0;
        yield data;
      }
      if (inflate.bytesWritten < given) {
        input.giveBack(given - inflate.bytesWritten);
        break;
      }
      if (slice === null) break;
    }
  } finally {
    inflate.destroy();
  }
  const trailer = await input.exactly(8);
  if (trailer.readUInt32LE(0) !== checksum || trailer.readUInt32LE(4) !== length) {
    throw new StartupError(
      'the gzip data are damaged: their checksum is another, and any row that was read may be wrong',
    );
  }
}

/** Runs until it calls back, or fails: a failure may leave its callback uncalled. */
function step(inflate: InflateRaw, run: (done: (error?: Error | null) => void) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => reject(damaged(error));
    inflate.once('error', onError);
    run((error) => {
      inflate.off('error', onError);
      if (error) reject(damaged(error));
      else resolve();
    });
  });
}

function damaged(error: Error): StartupError {
  const cut = (error as NodeJS.ErrnoException).code === 'Z_BUF_ERROR';
  return cut
    ? unexpectedEnd()
    : new StartupError(`the gzip data are damaged: ${error.message}`, { cause: error });
}

function unexpectedEnd(): StartupError {
  return new StartupError('unexpected end of file');
}

async function skipHeader(input: Input): Promise<void> {
  const [magic1, magic2, method, flags] = await input.exactly(10);
  if (magic1 !== 0x1f || magic2 !== 0x8b) throw new StartupError('this is not gzip');
  if (method !== 8) throw new StartupError(`the gzip data are damaged: unknown method ${method}`);
  if (flags! & FEXTRA) await input.exactly((await input.exactly(2)).readUInt16LE(0));
  if (flags! & FNAME) await input.skipText();
  if (flags! & FCOMMENT) await input.skipText();
  if (flags! & FHCRC) await input.exactly(2);
}

/** Bytes of a stream, as many as are wanted at a time. */
class Input {
  private readonly chunks: AsyncIterator<Buffer>;
  private held: Buffer = Buffer.alloc(0);
  private at = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.chunks = chunks[Symbol.asyncIterator]();
  }

  /** Up to that many, at least one; null at the end. */
  async take(most: number): Promise<Buffer | null> {
    return (await this.has(1)) ? this.next(most) : null;
  }

  /** The last bytes of what was taken last. */
  giveBack(count: number): void {
    this.at -= count;
  }

  /** @throws {StartupError} when there are fewer. */
  async exactly(count: number): Promise<Buffer> {
    if (!(await this.has(count))) throw unexpectedEnd();
    return this.next(count);
  }

  async skipText(): Promise<void> {
    while ((await this.exactly(1))[0] !== 0);
  }

  async skipZeros(): Promise<void> {
    while ((await this.has(1)) && this.held[this.at] === 0) this.at++;
  }

  async atEnd(): Promise<boolean> {
    return !(await this.has(1));
  }

  async isAt(first: number, second: number): Promise<boolean> {
    return (await this.has(2)) && this.held[this.at] === first && this.held[this.at + 1] === second;
  }

  /** Reads to the end. @returns how many bytes were left. */
  async drain(): Promise<number> {
    let count = this.held.length - this.at;
    for (;;) {
      const next = await this.chunks.next();
      if (next.done) return count;
      count += next.value.length;
    }
  }

  private next(most: number): Buffer {
    const bytes = this.held.subarray(this.at, this.at + most);
    this.at += bytes.length;
    return bytes;
  }

  private async has(count: number): Promise<boolean> {
    while (this.held.length - this.at < count) {
      const next = await this.chunks.next();
      if (next.done) return false;
      const rest = this.held.subarray(this.at);
      this.held = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
      this.at = 0;
    }
    return true;
  }
}
