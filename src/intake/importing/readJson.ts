import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { StartupError } from '../../model/errors.ts';
import { MAX_LINE_BYTES } from './readLines.ts';
import { parseRow } from './readNdjson.ts';
import { type LastRow, type Row, unfinishedRow } from './row.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const MARK = [0xef, 0xbb, 0xbf];

/**
 * Reads a JSON document of any size, the elements that end in a chunk at a time: those of an array, or an object by
 * itself, however they are laid out; several documents may follow one another. Cut out as text, which is parsed as a
 * line of NDJSON is. White space between its tokens is dropped, so that an element has the same text in whatever layout.
 *
 * An element that is not JSON is one fault, and reading goes on behind it where its brackets match. Rows are numbered by
 * their element, from 1.
 *
 * @param last what to do when the file ends before the array, or the element, does.
 * @throws {StartupError} where neither an array nor an object begins.
 */
export async function* readJson(
  chunks: AsyncIterable<Buffer>,
  last: LastRow,
): AsyncGenerator<Row<unknown>[]> {
  const splitter = new Splitter();
  for await (const chunk of chunks) {
    const { rows, fault } = splitter.take(chunk);
    if (rows.length > 0) yield rows;
    if (fault) throw fault;
  }
  const rest = splitter.rest();
  if (rest === null) return;
  if (last === 'leave') yield [unfinishedRow(rest.line, 'the file ends before its array or object does')];
  else if (rest.row) yield [rest.row];
}

class Splitter {
  private number = 0;
  private inArray = false;
  /** Within an element. */
  private begun = false;
  /** Brackets that are open within the element. */
  private depth = 0;
  private inString = false;
  private escaped = false;
  private spaced = false;
  private readonly text = Buffer.alloc(MAX_LINE_BYTES);
  private length = 0;
  /** Bytes of a byte order mark that have been seen: a document behind another one, joined to it, has its own. */
  private mark = 0;

  /** The elements that end in a chunk, up to where it is no JSON. */
  take(chunk: Buffer): { rows: Row<unknown>[]; fault: StartupError | null } {
    const rows: Row<unknown>[] = [];
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (this.inString) this.string(byte);
      else if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) this.spaced = true;
      else if (!this.begun && !this.begins(byte)) return { rows, fault: this.fault() };
      else {
        const ended = this.begun ? this.within(byte) : null;
        if (ended) rows.push(ended);
      }
    }
    return { rows, fault: null };
  }

  /** What has begun and not ended; null at the end of a document. */
  rest(): { line: number; row: Row<unknown> | null } | null {
    if (this.begun) return { line: this.number, row: this.end() };
    return this.inArray ? { line: this.number + 1, row: null } : null;
  }

  private string(byte: number): void {
    this.append(byte);
    if (this.escaped) this.escaped = false;
    else if (byte === BACKSLASH) this.escaped = true;
    else if (byte === QUOTE) this.inString = false;
  }

  private within(byte: number): Row<unknown> | null {
    if (this.depth === 0 && this.inArray && (byte === COMMA || byte === CLOSE_BRACKET)) {
      if (byte === CLOSE_BRACKET) this.inArray = false;
      return this.end();
    }
    // Dropped white space must not make one number of two.
    if (this.spaced && !isStructural(byte) && !isStructural(this.text[this.length - 1]!)) this.append(0x20);
    this.spaced = false;
    this.append(byte);
    if (byte === QUOTE) this.inString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.depth++;
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && this.depth > 0) {
      this.depth--;
      if (this.depth === 0 && !this.inArray) return this.end();
    }
    return null;
  }

  /** Begins an array, or an element, which has yet to take the byte. @returns false where the byte is neither's. */
  private begins(byte: number): boolean {
    if (!this.inArray && byte === MARK[this.mark]) {
      this.mark = (this.mark + 1) % MARK.length;
      return true;
    }
    if (!this.inArray && this.mark === 0 && byte === OPEN_BRACKET) {
      this.inArray = true;
      return true;
    }
    if (this.inArray && byte === CLOSE_BRACKET) {
      this.inArray = false;
      return true;
    }
    if (!this.inArray && (this.mark > 0 || byte !== OPEN_BRACE)) return false;
    this.begun = true;
    this.spaced = false;
    this.number++;
    return true;
  }

  private fault(): StartupError {
    const where = this.number === 0 ? 'the file begins with' : `element ${this.number} is followed by`;
    return new StartupError(`this is not JSON: ${where} neither an array nor an object`);
  }

  private append(byte: number): void {
    if (this.length < MAX_LINE_BYTES) this.text[this.length] = byte;
    this.length++;
  }

  private end(): Row<unknown> {
    const { number, length } = this;
    const bytes = this.text.subarray(0, Math.min(length, MAX_LINE_BYTES));
    this.begun = false;
    this.inString = false;
    this.escaped = false;
    this.spaced = false;
    this.depth = 0;
    this.length = 0;
    if (length > MAX_LINE_BYTES) {
      return broken(number, bytes, 'element_too_long', `the element is longer than ${MAX_LINE_BYTES} bytes`);
    }
    if (!isUtf8(bytes)) return broken(number, bytes, 'invalid_encoding', 'the element is not valid UTF-8');
    return parseRow(number, bytes.toString());
  }
}

function broken(line: number, bytes: Buffer, code: string, message: string): Row<unknown> {
  return { line, text: hash('sha256', bytes), fault: { pointer: '', code, message } };
}

function isStructural(byte: number): boolean {
  switch (byte) {
    case QUOTE:
    case COMMA:
    case COLON:
    case OPEN_BRACE:
    case CLOSE_BRACE:
    case OPEN_BRACKET:
    case CLOSE_BRACKET:
      return true;
    default:
      return false;
  }
}
