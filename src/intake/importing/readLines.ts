import { isAscii, isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import type { RowFault } from './row.ts';

/** Longest line that is read, in bytes. Beyond it a row is refused, so that memory stays bounded. */
export const MAX_LINE_BYTES = 1_048_576;

const LF = 10;
const CR = 13;

export interface Line {
  /** From 1. */
  number: number;
  /** Without its end, LF or CRLF. With a fault, a digest of how it begins: nobody reads it, but it differs by line. */
  text: string;
  /** Its end is CRLF. */
  carriage?: true;
  fault?: RowFault;
  /** The last line, without an end: more of it may come. */
  unfinished?: true;
}

/**
 * Cuts a stream of bytes into lines, those of one chunk at a time. A byte order mark is dropped, the last line may
 * have no end, and says so. A line that is too long or not UTF-8 comes with its fault; none is left out.
 */
export async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  let number = 1;
  let begun: Buffer[] = []; // of a line whose end has not come yet
  let begunBytes = 0;
  let tooLong: Line | null = null; // what begins it is enough to know it by
  for await (const chunk of chunks) {
    const last = chunk.lastIndexOf(LF);
    if (last >= 0) {
      const first = chunk.indexOf(LF);
      const lines = [
        tooLong ?? lineOf(Buffer.concat([...begun, chunk.subarray(0, first)]), begunBytes + first, number),
      ];
      appendLines(lines, chunk.subarray(first + 1, last + 1));
      number += lines.length;
      yield lines;
      begun = [];
      begunBytes = 0;
      tooLong = null;
    }
    const rest = chunk.subarray(last + 1);
    begunBytes += rest.length;
    if (tooLong) continue;
    begun.push(rest);
    if (begunBytes <= MAX_LINE_BYTES) continue;
    tooLong = lineOf(Buffer.concat(begun), begunBytes, number);
    begun = [];
  }
  if (begunBytes > 0) {
    yield [{ ...(tooLong ?? lineOf(Buffer.concat(begun), begunBytes, number)), unfinished: true }];
  }
}

/** Appends the lines of a block that ends with LF. Each is decoded by itself: a slice would keep the block alive. */
function appendLines(lines: Line[], block: Buffer): void {
  const encoding = isAscii(block) ? 'latin1' : isUtf8(block) ? 'utf8' : null;
  let number = lines[0]!.number;
  for (let from = 0; from < block.length; ) {
    const end = block.indexOf(LF, from);
    const until = end > from && block[end - 1] === CR ? end - 1 : end;
    number++;
    lines.push(
      encoding !== null && end - from <= MAX_LINE_BYTES
        ? lineWith(number, block.toString(encoding, from, until), until < end)
        : lineOf(block.subarray(from, end), end - from, number),
    );
    from = end + 1;
  }
}

function lineOf(bytes: Buffer, length: number, number: number): Line {
  if (length > MAX_LINE_BYTES) {
    return broken(number, bytes, 'line_too_long', `the line is longer than ${MAX_LINE_BYTES} bytes`);
  }
  if (!isUtf8(bytes)) return broken(number, bytes, 'invalid_encoding', 'the line is not valid UTF-8');
  const hasMark = number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const end = bytes.length > 0 && bytes[bytes.length - 1] === CR ? bytes.length - 1 : bytes.length;
  return lineWith(number, bytes.toString('utf8', hasMark ? 3 : 0, end), end < bytes.length);
}

function lineWith(number: number, text: string, carriage: boolean): Line {
  return carriage ? { number, text, carriage } : { number, text };
}

/** The first bytes are there however the file was cut into chunks. */
function broken(number: number, bytes: Buffer, code: string, message: string): Line {
  const text = hash('sha256', bytes.subarray(0, MAX_LINE_BYTES));
  return { number, text, fault: { pointer: '', code, message } };
}
