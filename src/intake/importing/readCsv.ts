import { StartupError } from '../../model/errors.ts';
import { CsvRecord } from './csvRecord.ts';
import { type Line, MAX_LINE_BYTES } from './readLines.ts';
import { type LastRow, type Row, unfinishedRow } from './row.ts';
import { startingWith } from './startingWith.ts';

/**
 * Reads CSV (RFC 4180) with a header line, the rows of a block of lines at a time; blank lines are passed over. By hand
 * because row ids and `--from-line` need exact line numbers: csv-parse 7 counts a CRLF inside quotes as two lines, and
 * after a misplaced quote it takes the rows that follow for part of the broken one.
 *
 * A row that cannot be taken apart is one fault, and reading goes on with the line after the one it begins in.
 *
 * @param delimiter one character.
 * @param last what to do about a last line without an end, or a quoted field that is open at the end of the file.
 * @returns the names in the header, and the rows below it.
 * @throws {StartupError} when there is no header.
 */
export async function readCsv(
  lines: AsyncIterable<Line[]>,
  delimiter: string,
  last: LastRow = 'take',
): Promise<{ header: string[]; rows: AsyncGenerator<Row<string[]>[]> }> {
  const blocks = readRecords(lines, new RecordReader(delimiter, last));
  const first = await blocks.next();
  if (first.done) throw new StartupError('the file is empty: it needs a header line');
  const header = first.value.shift()!;
  if (header.unfinished) throw new StartupError(`the header may go on: ${header.fault!.message}`);
  if (header.fault) throw new StartupError(`the header line cannot be read: ${header.fault.message}`);
  return {
    header: header.values.map(withPlainLineEnds),
    rows: startingWith(first.value.length > 0 ? [first.value] : [], blocks),
  };
}

async function* readRecords(
  lines: AsyncIterable<Line[]>,
  reader: RecordReader,
): AsyncGenerator<Row<string[]>[]> {
  for await (const block of lines) {
    const rows = reader.take(block, false);
    if (rows.length > 0) yield rows;
  }
  const rows = reader.take([], true);
  if (rows.length > 0) yield rows;
}

const OPEN_LINE = 'the last line has no end';
const OPEN_FIELD = 'a quoted field that begins here is open at the end of the file';

/** Makes records of lines. The first one is the header: the others have as many fields. */
class RecordReader {
  private readonly last: LastRow;
  /** Fields that a record has; null while the header has not been read. */
  private columns: number | null = null;
  private readonly record: CsvRecord;
  /** Lines of a record that goes on, kept to begin again behind its first when it never ends. */
  private begun: Line[] = [];
  private begunLength = 0;

  constructor(delimiter: string, last: LastRow) {
    this.last = last;
    this.record = new CsvRecord(delimiter);
  }

  /** The records that end in these lines. @param atEnd none follow. */
  take(fresh: readonly Line[], atEnd: boolean): Row<string[]>[] {
    const rows: Row<string[]>[] = [];
    const waiting = fresh.toReversed(); // the next line is the last
    for (;;) {
      const line = waiting.pop();
      const { begun } = this;
      if (line === undefined && !(atEnd && begun.length > 0)) return rows;
      if (begun.length === 0 && line?.text === '') continue;
      if (this.last === 'leave' && (line === undefined || line.unfinished)) {
        const what = begun.length > 0 ? OPEN_FIELD : OPEN_LINE;
        rows.push(unfinishedRow((begun[0] ?? line!).number, what));
        this.begun = [];
        return rows;
      }
      if (line?.fault && begun.length === 0) {
        rows.push({ line: line.number, text: line.text, fault: line.fault });
        continue;
      }
      const state = this.feed(line);
      if (state === 'done' && begun.length === 0) {
        rows.push(this.row(line!.number, this.record.fields));
        continue;
      }
      if (line) begun.push(line);
      this.begunLength += line?.text.length ?? 0;
      if (state === 'more') continue;
      const { number, text } = begun[0]!;
      if (state === 'done') rows.push(this.row(number, this.record.fields.map(withPlainLineEnds)));
      else {
        const message = 'a quoted field is not closed, or text follows its closing quote';
        rows.push({ line: number, text, fault: { pointer: '', code: 'quote_invalid', message } });
        for (let i = begun.length - 1; i > 0; i--) waiting.push(begun[i]!);
        this.record.restart();
      }
      this.begun = [];
      this.begunLength = 0;
    }
  }

  private feed(line: Line | undefined): 'done' | 'more' | 'invalid' {
    if (line === undefined || line.fault || this.begunLength > MAX_LINE_BYTES) return 'invalid';
    const text = this.begun.length === 0 ? withoutMark(line.text) : line.text;
    return this.record.feed(text, line.carriage ? '\r\n' : '\n');
  }

  /** @param known its fields, as they are known by whatever the line ends. */
  private row(line: number, known: string[]): Row<string[]> {
    const values = this.record.fields;
    const text = JSON.stringify(known);
    this.columns ??= values.length;
    if (values.length === this.columns) return { line, text, values };
    const message = `has ${values.length} fields, the header ${this.columns}`;
    return { line, text, fault: { pointer: '', code: 'column_count', message } };
  }
}

/** A file behind another one, joined to it, has its byte order mark in the middle. */
function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** What a row is known by does not depend on the line ends of its file. */
export function withPlainLineEnds(text: string): string {
  return text.replaceAll('\r\n', '\n');
}
