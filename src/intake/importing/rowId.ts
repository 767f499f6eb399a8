import { hash } from 'node:crypto';

/** Lines that fit into the ids: 40 bits. */
const MAX_LINE = 2 ** 40;

/**
 * What stands for a file in the ids of its rows: 12 hexadecimal digits of a digest of how it begins, of the customer
 * all of it is imported for, and of whatever else makes events of its rows. Neither its name, nor compression, line ends or what follows matter: a file
 * that was renamed, or has grown, is the same file.
 *
 * @param header the CSV header, or null for NDJSON.
 * @param firstRow text of the first row.
 * @param customerId the constant; null where the rows name their customers.
 * @param meaning as `meaningOf` gives it: null where rows are events as they are, and for ids as they were made before
 * they knew it.
 */
export function filePrefix(
  header: string[] | null,
  firstRow: string,
  customerId: string | null,
  meaning: string | null = null,
): string {
  const parts = [header, firstRow, customerId];
  return hash('sha256', JSON.stringify(meaning === null ? parts : [...parts, meaning])).slice(0, 12);
}

/**
 * The event id of a row without one: a UUIDv8 (RFC 9562 §5.8) of 48 bits for the file, 40 for the line number and 32
 * of a digest of the row's text, so that
 * - the same row of the same file has the same id, wherever reading begins;
 * - equal rows in different lines have different ids, as have different rows in the same line: a row that was
 *   corrected in place is another event, and the rows around it are the same;
 * - ids ascend through the file, which is the order an index is cheapest to fill in.
 *
 * @param prefix as `filePrefix` makes it.
 */
export function rowId(prefix: string, line: number, text: string): string {
  if (line >= MAX_LINE) throw new RangeError('a file may have 2^40 lines');
  const place = line.toString(16).padStart(10, '0');
  const digest = hash('sha256', text).slice(0, 8);
  const [high, middle, low] = [place.slice(0, 3), place.slice(3, 6), place.slice(6)];
  return `${prefix.slice(0, 8)}-${prefix.slice(8)}-8${high}-8${middle}-${low}${digest}`;
}
