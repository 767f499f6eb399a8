/*
 * JSONPath as RFC 9535 writes it, as far as a path can select one value at most: names and indexes, one to a segment.
 */

/** What each segment selects: a member of an object by its name, an element of an array by its index (from the end when negative). */
export type PathSteps = readonly (string | number)[];

/** Of an index (RFC 9535 §2.1, I-JSON). */
const MAX_INDEX = Number.MAX_SAFE_INTEGER;
const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '/': '/',
  '\\': '\\',
};
const WRITTEN_ESCAPES: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
  "'": "\\'",
  '\\': '\\\\',
};

/**
 * Reads a path that selects at most one value: `$` and any number of `.name`, `['name']`, `["name"]` and `[0]`.
 *
 * @returns its steps, none for `$` itself; else what is wrong and where: the offset counts UTF-16 code units from 0.
 */
export function parseSingularPath(text: string): { steps: (string | number)[] } | { fault: string } {
  if (!text.isWellFormed()) return { fault: 'must not contain unpaired surrogates' };
  try {
    return { steps: new PathReader(text).read() };
  } catch (error) {
    if (error instanceof PathFault) return { fault: `${error.message}, at offset ${error.offset}` };
    throw error;
  }
}

/** The path in its normalised form (RFC 9535 §2.7), except that an index from the end stays one: equal paths, equal texts. */
export function formatPath(steps: PathSteps): string {
  return `$${steps.map((step) => (typeof step === 'number' ? `[${step}]` : `['${escapeName(step)}']`)).join('')}`;
}

function escapeName(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is escaped.
  return name.replace(/[\0-\x1f'\\]/g, (char) => {
    return WRITTEN_ESCAPES[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

class PathFault extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

class PathReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): (string | number)[] {
    if (this.#text[0] !== '$') this.#fail('must begin with $');
    this.#at = 1;
    const steps: (string | number)[] = [];
    while (this.#at < this.#text.length) {
      const before = this.#at;
      this.#skipBlanks();
      if (this.#at === this.#text.length) this.#fail('must not end with white space', before);
      steps.push(this.#segment());
    }
    return steps;
  }

  #segment(): string | number {
    const char = this.#text[this.#at];
    if (char === '.') return this.#shorthand();
    if (char === '[') return this.#bracketed();
    return this.#fail('expected . or [');
  }

  #shorthand(): string {
    const from = ++this.#at;
    const first = this.#text[from];
    if (first === '.') this.#fail('.. selects more than one value', from - 1);
    if (first === '*') this.#fail('* selects more than one value', from);
    while (isOfName(this.#text.charCodeAt(this.#at), this.#at === from)) this.#at++;
    if (this.#at === from) this.#fail("expected a name of letters, digits and _, or ['name']");
    return this.#text.slice(from, this.#at);
  }

  #bracketed(): string | number {
    this.#at++;
    this.#skipBlanks();
    const step = this.#selector();
    this.#skipBlanks();
    const char = this.#text[this.#at];
    if (char === ',' || char === ':') this.#fail(`${char} selects more than one value`);
    if (char !== ']') this.#fail('expected ]');
    this.#at++;
    return step;
  }

  #selector(): string | number {
    const char = this.#text[this.#at];
    if (char === "'" || char === '"') return this.#quoted(char);
    if (char === '*' || char === '?' || char === ':') this.#fail(`${char} selects more than one value`);
    return this.#index();
  }

  #index(): number {
    const from = this.#at;
    if (this.#text[this.#at] === '-') this.#at++;
    const digits = this.#at;
    while (isDigit(this.#text.charCodeAt(this.#at))) this.#at++;
    if (this.#at === digits) this.#fail('expected a quoted name or an index', from);
    const text = this.#text.slice(from, this.#at);
    if (this.#text[digits] === '0' && text !== '0')
      this.#fail('an index has no leading zeros and no -0', from);
    const index = Number(text);
    if (Math.abs(index) > MAX_INDEX) this.#fail(`an index is at most ${MAX_INDEX}`, from);
    return index;
  }

  #quoted(quote: string): string {
    const from = this.#at++;
    let name = '';
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) this.#fail(`${quote} is never closed`, from);
      if (char < ' ') this.#fail('a control character must be escaped');
      if (char === quote) break;
      if (char === '\\') name += this.#escape(quote);
      else {
        name += char;
        this.#at++;
      }
    }
    this.#at++;
    return name;
  }

  #escape(quote: string): string {
    const from = this.#at;
    const char = this.#text[from + 1];
    if (char === 'u') return this.#unicode(from);
    const meant =
      char === quote ? quote : char !== undefined && Object.hasOwn(ESCAPES, char) && ESCAPES[char];
    if (!meant) this.#fail('is no escape', from);
    this.#at += 2;
    return meant;
  }

  #unicode(from: number): string {
    const unit = this.#hex(from);
    if (unit >= 0xdc00 && unit <= 0xdfff) this.#fail('a low surrogate without a high one', from);
    if (unit < 0xd800 || unit > 0xdbff) return String.fromCharCode(unit);
    const low = this.#text.startsWith('\\u', this.#at) ? this.#hex(this.#at) : 0;
    if (low < 0xdc00 || low > 0xdfff) this.#fail('a high surrogate without a low one', from);
    return String.fromCharCode(unit, low);
  }

  /** The code unit of an escape, which it leaves behind. */
  #hex(from: number): number {
    const digits = this.#text.slice(from + 2, from + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail('expected four hex digits after \\u', from);
    this.#at = from + 6;
    return Number.parseInt(digits, 16);
  }

  #skipBlanks(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? 'x')) this.#at++;
  }

  #fail(message: string, offset = this.#at): never {
    throw new PathFault(message, offset);
  }
}

/** RFC 9535 §2.5.1.1, name-first and name-char: surrogates come in pairs, so all of a text that is well-formed may be here. */
function isOfName(code: number, first: boolean): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    code === 0x5f ||
    code >= 0x80 ||
    (!first && isDigit(code))
  );
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
