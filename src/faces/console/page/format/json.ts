/** Begins the text that stands for a number; no text of the service has it, since PostgreSQL stores none. */
const MARK = '\u0000';

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;

/** As JSON.parse, but a number that no double holds as it is written stays so, behind a mark, for `writeJson`. */
export const parseExact = (text: string): unknown =>
  JSON.parse(
    text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
      NUMBER.test(token) && String(Number(token)) !== token ? JSON.stringify(MARK + token) : token,
    ),
  );

/** The digits of such a number; any other text as it is. */
export const digitsOf = (text: string) => (text.startsWith(MARK) ? text.slice(MARK.length) : text);

/** As JSON.stringify, indented unless it is told otherwise, with the numbers of `parseExact` as they were written. */
export const writeJson = (value: unknown, indent = 2): string =>
  (JSON.stringify(value, null, indent) ?? '').replace(/"\\u0000([^"]*)"/g, '$1');
