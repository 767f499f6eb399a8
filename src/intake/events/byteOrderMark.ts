import { TidemarkError } from '../../model/errors.ts';

const MARK = '\ufeff';
const BYTES = Buffer.from(MARK);

/**
 * A body without the byte order mark at its beginning, which is no part of it (RFC 8259 §8.1 lets a reader ignore it).
 *
 * @throws {TidemarkError} `invalid_encoding` for one in UTF-16 or UTF-32, told by its mark, or, as JSON begins with two
 * characters of ASCII, by the NULs among the first bytes.
 */
export function withoutMark(body: Buffer): Buffer {
  const first = body[0] ?? 1;
  const second = body[1] ?? 1;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (marked || (body.length > 1 && (first === 0 || second === 0))) {
    throw new TidemarkError('invalid_encoding', 'the body is UTF-16 or UTF-32; send UTF-8');
  }
  return first === BYTES[0] && BYTES.equals(body.subarray(0, BYTES.length))
    ? body.subarray(BYTES.length)
    : body;
}

/** The same for a line: files that were joined together have a mark at the beginning of each. */
export function lineWithoutMark(line: string): string {
  return line.startsWith(MARK) ? line.slice(1) : line;
}
