import { type Fault, type Line, MAX_LINE_BYTES, readLines } from './lines.ts';

export interface Row {
  /** Where it begins, from 1. */
  line: number;
  /** What it is known by, whatever its line ends. */
  text: string;
  /** Its fields, also where their number is not that of the header; null where it could not be taken apart. */
  values: string[] | null;
  fault?: Fault;
}

export interface Csv {
  header: string[];
  rows: AsyncGenerator<Row[]>;
}

/** What a row is known by does not depend on the line ends of its file. */
const plain = (text: string) => text.replaceAll('\r\n', '\n');

/**
 * Reads CSV (RFC 4180) with a header, as src/intake/importing/readCsv.ts does: to the same rows, lines and faults. A row that
 * cannot be taken apart is one fault, and reading goes on with the line after the one it begins in.
 *
 * @param whole whether a last line that has no end is read all the same; else it is a row with the fault `unfinished`.
 */
export async function readCsv(
  file: Blob,
  delimiter: string,
  whole: boolean,
  onRead: (bytes: number) => void = () => {},
): Promise<Csv> {
  const blocks = records(readLines(file, onRead), new Records(delimiter, whole));
  const first = await blocks.next();
  if (first.done) throw new Error('The file is empty: it needs a header line.');
  const [header, ...begin] = first.value;
  if (header!.fault) throw new Error(`The header line cannot be read: ${header!.fault.message}.`);
  async function* rows() {
    try {
      if (begin.length > 0) yield begin;
      yield* blocks;
    } finally {
      await blocks.return(undefined);
    }
  }
  return { header: header!.values!.map(plain), rows: rows() };
}

async function* records(lines: AsyncGenerator<Line[]>, reader: Records): AsyncGenerator<Row[]> {
  for await (const block of lines) {
    const rows = reader.take(block, false);
    if (rows.length > 0) yield rows;
  }
  const rows = reader.take([], true);
  if (rows.length > 0) yield rows;
}

class Records {
  private columns: number | null = null;
  private readonly delimiter: string;
  private readonly whole: boolean;
  /** Of the record at hand. */
  private fields: string[] = [];
  /** The quoted field that the next line goes on with. */
  private open: string | null = null;
  /** Lines of a record that goes on, to begin again behind its first where it never ends. */
  private begun: Line[] = [];
  private length = 0;

  constructor(delimiter: string, whole: boolean) {
    this.delimiter = delimiter;
    this.whole = whole;
  }

  take(fresh: Line[], atEnd: boolean): Row[] {
    const rows: Row[] = [];
    const waiting = fresh.reverse(); // the next line is the last
    for (;;) {
      const line = waiting.pop();
      const { begun } = this;
      if (line === undefined && !(atEnd && begun.length > 0)) return rows;
      if (begun.length === 0 && line?.text === '') continue;
      if (!this.whole && !line?.end) return this.leave(rows, (begun[0] ?? line)!);
      if (line?.fault && begun.length === 0) {
        rows.push({ line: line.number, text: line.text, values: null, fault: line.fault });
        continue;
      }
      const state =
        line === undefined || line.fault || this.length > MAX_LINE_BYTES ? 'invalid' : this.feed(line);
      if (line) {
        begun.push(line);
        this.length += line.text.length;
      }
      if (state === 'more') continue;
      const { number, text } = begun[0]!;
      if (state === 'done') rows.push(this.row(number, begun.length > 1));
      else {
        const message = 'a quoted field is not closed, or text follows its closing quote';
        rows.push({
          line: number,
          text,
          values: null,
          fault: { pointer: '', code: 'quote_invalid', message },
        });
        waiting.push(...begun.slice(1).reverse());
        this.open = null;
      }
      this.begun = [];
      this.length = 0;
    }
  }

  private leave(rows: Row[], { number }: Line): Row[] {
    const message = 'the file ends before this row does';
    rows.push({ line: number, text: '', values: null, fault: { pointer: '', code: 'unfinished', message } });
    this.begun = [];
    return rows;
  }

  private row(line: number, folded: boolean): Row {
    const values = this.fields;
    const text = JSON.stringify(folded ? values.map(plain) : values);
    this.columns ??= values.length;
    if (values.length === this.columns) return { line, text, values };
    const message = `has ${values.length} fields, the header ${this.columns}`;
    return { line, text, values, fault: { pointer: '', code: 'column_count', message } };
  }

  private feed({ text: raw }: Line): 'done' | 'more' | 'invalid' {
    const text = this.begun.length === 0 && raw.startsWith('\ufeff') ? raw.slice(1) : raw;
    let at = 0;
    if (this.open !== null) this.open += this.begun.at(-1)!.end;
    else if (!text.includes('"')) {
      this.fields = text.split(this.delimiter);
      return 'done';
    } else this.fields = [];
    for (;;) {
      if (this.open === null && text[at] === '"') {
        this.open = '';
        at++;
      }
      if (this.open === null) {
        const end = text.indexOf(this.delimiter, at);
        this.fields.push(text.slice(at, end < 0 ? undefined : end));
        if (end < 0) return 'done';
        at = end + 1;
        continue;
      }
      const quote = text.indexOf('"', at);
      this.open += text.slice(at, quote < 0 ? undefined : quote);
      if (quote < 0) return 'more';
      at = quote + 1;
      if (text[at] === '"') {
        this.open += '"';
        at++;
        continue;
      }
      this.fields.push(this.open);
      this.open = null;
      if (at === text.length) return 'done';
      if (text[at++] !== this.delimiter) return 'invalid';
    }
  }
}
