const QUOTE = '"';

/**
 * Takes records apart (RFC 4180), line by line: a quoted field may go on over several. A quote inside an unquoted
 * field stands for itself; text behind a closing quote is a fault.
 */
export class CsvRecord {
  /** Of the record that is done. The next one has an array of its own. */
  fields: string[] = [];
  private readonly delimiter: string;
  /** The quoted field that the next line goes on with. */
  private open: string | null = null;
  private lineEnd = '';

  /** @param delimiter one character. */
  constructor(delimiter: string) {
    this.delimiter = delimiter;
  }

  /** Gives up a record that goes on. */
  restart(): void {
    this.open = null;
  }

  /**
   * Goes on with the record at hand; behind one that is done or invalid, begins another.
   *
   * @param line without its end.
   * @param lineEnd which a quoted field has in it when it goes on: it is part of the text.
   * @returns `more` when the record goes on in the next line.
   */
  feed(line: string, lineEnd: '\n' | '\r\n' = '\n'): 'done' | 'more' | 'invalid' {
    const { delimiter } = this;
    let at = 0;
    if (this.open !== null) this.open += this.lineEnd;
    else if (!line.includes(QUOTE)) {
      this.fields = line.split(delimiter);
      return 'done';
    } else this.fields = [];
    const { fields } = this;
    for (;;) {
      if (this.open === null && line[at] === QUOTE) {
        this.open = '';
        at++;
      }
      if (this.open === null) {
        const end = line.indexOf(delimiter, at);
        fields.push(end < 0 ? line.slice(at) : line.slice(at, end));
        if (end < 0) return 'done';
        at = end + 1;
        continue;
      }
      const quote = line.indexOf(QUOTE, at);
      if (quote < 0) {
        this.open += line.slice(at);
        this.lineEnd = lineEnd;
        return 'more';
      }
      this.open += line.slice(at, quote);
      at = quote + 1;
      if (line[at] === QUOTE) {
        this.open += QUOTE;
        at++;
        continue;
      }
      fields.push(this.open);
      this.open = null;
      if (at === line.length) return 'done';
      if (line[at] !== delimiter) return 'invalid';
      at++;
    }
  }
}
