import { guard } from './formulaGuard.ts';

/** One line of CSV (RFC 4180). */
export function csvLine(values: readonly unknown[]): string {
  return `${values.map(cell).join(',')}\r\n`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const safe = guard(String(value));
  // A mark of the byte order at the start of a line is taken for none of its text.
  return /[",\r\n]|^\uFEFF/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
