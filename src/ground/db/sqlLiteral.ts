/**
 * A text as an SQL literal, for SQL that takes no parameters; it must not have a NUL, which no text of PostgreSQL has. Read
 * alike whatever `standard_conforming_strings` says. By hand because pg's `escapeLiteral` joins one character after
 * another: of half a megabyte it makes 18 of garbage.
 */
export function sqlLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** Texts as a literal of text[], under the same conditions. */
export function textArray(texts: readonly string[]): string {
  return sqlLiteral(`{${texts.map((text) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`)}}`);
}
