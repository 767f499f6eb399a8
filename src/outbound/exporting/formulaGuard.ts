/*
 * A text that a spreadsheet would take for a formula is led by an apostrophe (OWASP, "CSV Injection"), and so is one that
 * would look like a text so led: whatever is read back has exactly one text that it stands for.
 */

/** What a spreadsheet begins to calculate at, behind any number of apostrophes. A number with its sign is none. */
const FORMULA = /^'*(?:[=+@\t\r\n\uFF1D\uFF0B\uFF20\uFF0D]|-(?![\d.]+$))/;

/** The text as a cell has it. */
export function guard(text: string): string {
  return FORMULA.test(text) ? `'${text}` : text;
}

/** The text that a cell stands for. */
export function unguard(cell: string): string {
  return cell.startsWith("'") && FORMULA.test(cell) ? cell.slice(1) : cell;
}
