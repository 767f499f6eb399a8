import { randomUUID } from 'node:crypto';

/*
 * JSON whose numbers keep their digits. JSON.parse makes a double of every number, and 1234567890123456789 is none.
 * What a double holds stays a number; what it does not becomes a JsonNumber. A body without such a number is told at a
 * glance, and is parsed as ever: docs/adr/0028.
 */

/** Stands for itself in JSON that is on its way in or out. Random, so that no text of a client begins with it. */
const MARK = `\u{f8ff}${randomUUID()} `;
const MARKED = new RegExp(`"${MARK}(-?[0-9][0-9.eE+-]*)"`, 'g');
/** Levels below which nothing is looked for: deeper metadata are refused. */
const MAX_DEPTH = 64;

/** A number that no double holds, with the digits that it came with. */
export class JsonNumber {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }

  /** For `stringifyJson`, which writes the digits in its place. */
  toJSON(): string {
    return MARK + this.#text;
  }
}

/**
 * JSON.parse, but for numbers that a double does not hold: those are JsonNumbers.
 *
 * @throws {SyntaxError}
 */
export function parseJson(text: string): unknown {
  return LONG.test(text) || mayHoldFarNumber(text) ? parseJsonExactly(text) : JSON.parse(text);
}

/**
 * The same where such a number is to be expected.
 *
 * @throws {SyntaxError}
 */
export function parseJsonExactly(json: string): unknown {
  const value: unknown = JSON.parse(json); // so that what is looked through is JSON, and its faults are those of the original
  const marked = markNumbers(json);
  return marked === json ? value : unmark(JSON.parse(marked), 0);
}

/** JSON.stringify, which writes JsonNumbers with their digits. */
export function stringifyJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.includes(MARK) ? text.replace(MARKED, '$1') : text;
}

/**
 * The JSON with numbers that no double holds as texts, which `numberText` tells from others.
 *
 * @throws {SyntaxError}
 */
export function withTextsForNumbers(json: string): string {
  JSON.parse(json);
  return markNumbers(json);
}

/** The digits of a number that `withTextsForNumbers` has made a text of; undefined for any other text. */
export function numberText(text: string): string | undefined {
  return text.startsWith(MARK) ? text.slice(MARK.length) : undefined;
}

/** A number as it is written in JSON: a double where that holds it. */
export function jsonNumber(text: string): number | JsonNumber {
  return mayBeUnheld(text) && !isHeldByDouble(text) ? new JsonNumber(text) : Number(text);
}

/** Sixteen digits, point included: what is shorter has at most fifteen that count, and a double holds them. */
const LONG_DIGITS = 16;
const LONG = /[\d.]{16}/;
const FAR = /\d[eE][-+]?\d{3,}\s*(?:[,}\]]|$)/;

/** Whether some number has an exponent of three digits or more: in range of a double or not. */
export function mayHoldFarNumber(json: string): boolean {
  return FAR.test(json);
}

/** Whether a parsed number may be what is left of one too large or too small for a double. */
export function isDoubtful(value: number): boolean {
  return !(Math.abs(value) >= MIN_NORMAL && Math.abs(value) <= Number.MAX_VALUE);
}
const MIN_NORMAL = 2 ** -1022;

/**
 * Whether a document in UTF-8 has a number with more digits than a double holds. It looks at every sixteenth byte: no
 * run of sixteen digits has room between two of them.
 */
export function holdsLongNumber(json: Uint8Array): boolean {
  for (let i = LONG_DIGITS - 1; i < json.length; i += LONG_DIGITS) {
    if (!isDigitOrPoint(json[i])) continue;
    if (!isDigitOrPoint(json[i - 4]) && !isDigitOrPoint(json[i + 4])) continue;
    let from = i;
    let to = i + 1;
    while (isDigitOrPoint(json[from - 1])) from--;
    while (isDigitOrPoint(json[to])) to++;
    if (to - from >= LONG_DIGITS && !isHeldAt(json, from, to)) return true;
    i = to; // each run is looked at once, however long it is
  }
  return false;
}

/** 0–9, the point, and the slash between them, which is in no number. Nothing is none: a body may begin, or break off, with one. */
function isDigitOrPoint(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 46 && byte <= 57;
}

/** A run of digits that is no number, since it stands in a text, counts as held. */
function isHeldAt(json: Uint8Array, digitsFrom: number, digitsTo: number): boolean {
  let from = digitsFrom;
  let to = digitsTo;
  if (json[from - 1] === 0x2d) from--;
  if (!isAround(json[from - 1], 0x5b)) return true;
  if ((json[to]! | 0x20) === 0x65) while (to < json.length && !isAround(json[to], 0x5d)) to++;
  if (!isAround(json[to], 0x5d)) return true;
  return isHeldByDouble(Buffer.from(json.buffer, json.byteOffset + from, to - from).toString('latin1'));
}

/** Whether a number may begin behind the byte, or end before it: at white space, a colon, comma, brace or bracket. */
function isAround(byte: number | undefined, bracket: 0x5b | 0x5d): boolean {
  if (byte === undefined || byte <= 0x20 || byte === 0x2c || byte === bracket) return true;
  return byte === (bracket === 0x5b ? 0x3a : 0x7d);
}

/** Whether the shortest decimal that stands for the nearest double is this number. */
function isHeldByDouble(text: string): boolean {
  const shortest = String(Number(text));
  return shortest === text || normal(shortest) === normal(text);
}

/** Sign, digits without zeros at either end, and the power of ten of the last one. */
function normal(text: string): string {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!match) return text; // Infinity, which no number is
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  const end = endOfDigits(digits);
  if (end === 0) return '0';
  const power = Number(exponent) - fraction.length + digits.length - end;
  return `${sign === '-' ? '-' : ''}${digits.slice(0, end)}e${power}`;
}

function endOfDigits(digits: string): number {
  let end = digits.length;
  while (end > 0 && digits.charCodeAt(end - 1) === 48) end--;
  return end;
}

/** The document with every number that a double does not hold as a marked text. */
function markNumbers(json: string): string {
  let marked = '';
  let done = 0;
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === 0x22) {
      for (i++; json.charCodeAt(i) !== 0x22; i++) if (json.charCodeAt(i) === 0x5c) i++;
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      const from = i;
      while (isOfNumber(json.charCodeAt(i + 1))) i++;
      const text = json.slice(from, i + 1);
      if (mayBeUnheld(text) && !isHeldByDouble(text)) {
        marked += `${json.slice(done, from)}"${MARK}${text}"`;
        done = i + 1;
      }
    }
  }
  return done === 0 ? json : marked + json.slice(done);
}

function mayBeUnheld(text: string): boolean {
  return text.length >= LONG_DIGITS || /[eE]/.test(text);
}

function isOfNumber(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) ||
    code === 0x2e ||
    code === 0x2b ||
    code === 0x2d ||
    (code | 0x20) === 0x65
  );
}

function unmark(value: unknown, depth: number): unknown {
  if (typeof value === 'string') {
    return value.startsWith(MARK) ? new JsonNumber(value.slice(MARK.length)) : value;
  }
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value;
  for (const [key, inner] of Object.entries(value)) {
    const unmarked = unmark(inner, depth + 1);
    // Assignment would lose a member called __proto__.
    if (unmarked !== inner) {
      Object.defineProperty(value, key, {
        value: unmarked,
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
  }
  return value;
}
