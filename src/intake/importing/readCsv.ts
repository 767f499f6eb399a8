import { StartupError } from '../../model/errors.ts';
import { CsvRecord } from './csvRecord.ts';
import { type Line, MAX_LINE_BYTES } from './readLines.ts';
import { type LastRow, type Row, unfinishedRow } from './row.ts';

/**
 * Reads CSV (RFC 4180) with a header line, a row at a time; blank lines are passed over. By hand because row ids and
 * `--from-line` need exact line numbers: csv-parse 7 counts a CRLF inside quotes as two lines, and after a misplaced
 * quote it takes the rows that follow for part of the broken one.
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
): Promise<{ header: string[]; rows: AsyncGenerator<Row<string[]>> }> {
  const shape: Shape = { columns: null };
  const records = readRecords(lines, delimiter, last, shape);
  const first = await records.next();
  if (first.done) throw new StartupError('the file is empty: it needs a header line');
  const header = first.value;
  if (header.unfinished) throw new StartupError(`the header may go on: ${header.fault!.message}`);
  if (header.fault) throw new StartupError(`the header line cannot be read: ${header.fault.message}`);
  shape.columns = header.values.length;
  return { header: header.values.map(withPlainLineEnds), rows: records };
}

/** Fields that a record has; null while the header has not been read. */
interface Shape {
  columns: number | null;
}

const OPEN_LINE = 'the last line has no end';
const OPEN_FIELD = 'a quoted field that begins here is open at the end of the file';

async function* readRecords(
  lines: AsyncIterable<Line[]>,
  delimiter: string,
  last: LastRow,
  shape: Shape,
): AsyncGenerator<Row<string[]>> {
  /** Lines of a record that goes on, kept to begin again behind its first when it never ends. */
  let begun: Line[] = [];
  let begunLength = 0;
  let record = new CsvRecord(delimiter);

  function* take(fresh: readonly Line[], atEnd: boolean): Generator<Row<string[]>> {
    const waiting = fresh.toReversed(); // the next line is the last
    for (;;) {
      const line = waiting.pop();
      if (line === undefined && !(atEnd && begun.length > 0)) return;
      if (begun.length === 0 && line?.text === '') continue;
      if (last === 'leave' && (line === undefined || line.unfinished)) {
        const what = begun.length > 0 ? OPEN_FIELD : OPEN_LINE;
        yield unfinishedRow((begun[0] ?? line!).number, what);
        begun = [];
        return;
      }
      if (line?.fault && begun.length === 0) {
        yield { line: line.number, text: line.text, fault: line.fault };
        continue;
      }
      const tooLong = begunLength > MAX_LINE_BYTES;
      const state =
        line === undefined || line.fault || tooLong
          ? 'invalid'
          : record.feed(
              begun.length === 0 ? withoutMark(line.text) : line.text,
              line.carriage ? '\r\n' : '\n',
            );
      if (line) begun.push(line);
      begunLength += line?.text.length ?? 0;
      if (state === 'more') continue;

      const first = begun[0]!;
      if (state === 'done') {
        const { fields } = record;
        const known = begun.length > 1 ? fields.map(withPlainLineEnds) : fields;
        const place = { line: first.number, text: JSON.stringify(known) };
        if (shape.columns === null || fields.length === shape.columns) yield { ...place, values: fields };
        else {
          const message = `has ${fields.length} fields, the header ${shape.columns}`;
          yield { ...place, fault: { pointer: '', code: 'column_count', message } };
        }
      } else {
        const message = 'a quoted field is not closed, or text follows its closing quote';
        const fault = { pointer: '', code: 'quote_invalid', message };
        yield { line: first.number, text: first.text, fault };
        for (let i = begun.length - 1; i > 0; i--) waiting.push(begun[i]!);
      }
      begun = [];
      begunLength = 0;
      record = new CsvRecord(delimiter);
    }
  }

  for await (const block of lines) yield* take(block, false);
  yield* take([], true);
}

/** A file behind another one, joined to it, has its byte order mark in the middle. */
function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** What a row is known by does not depend on the line ends of its file. */
export function withPlainLineEnds(text: string): string {
  return text.replaceAll('\r\n', '\n');
}
