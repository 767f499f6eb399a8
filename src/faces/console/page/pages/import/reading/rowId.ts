import { sha256 } from './sha256.ts';

/**
 * What the ids of a file's rows begin with: src/intake/importing/rowId.ts says of what, and makes the same.
 *
 * @param customerId of all rows; null where they name theirs.
 */
export function filePrefix(
  header: string[],
  firstRow: string,
  customerId: string | null,
  meaning: string,
): string {
  return sha256(JSON.stringify([header, firstRow, customerId, meaning])).slice(0, 12);
}

/** The event id of a row that has none: the same one in every import of the file, also by `tidemark import`. */
export function rowId(prefix: string, line: number, text: string): string {
  const place = line.toString(16).padStart(10, '0');
  const [a, b, c] = [place.slice(0, 3), place.slice(3, 6), place.slice(6)];
  return `${prefix.slice(0, 8)}-${prefix.slice(8)}-8${a}-8${b}-${c}${sha256(text).slice(0, 8)}`;
}
