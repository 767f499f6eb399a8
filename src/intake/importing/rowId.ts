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
 * The id at hand: its hyphens, version and variant stay. Joined from pieces, it would leave garbage of seven times its
 * size.
 */
const ID = Buffer.from('00000000-0000-8000-8000-000000000000');
const HEX = Buffer.from('0123456789abcdef');
/** Where the digits of the line number stand, the last one first. */
const LINE_AT = [27, 26, 25, 24, 22, 21, 20, 17, 16, 15];

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
  const digest = hash('sha256', text);
  for (let i = 0; i < 8; i++) {
    ID[i] = prefix.charCodeAt(i);
    ID[i + 28] = digest.charCodeAt(i);
  }
  for (let i = 8; i < 12; i++) ID[i + 1] = prefix.charCodeAt(i);
  let rest = line;
  for (const at of LINE_AT) {
    ID[at] = HEX[rest % 16]!;
    rest = Math.floor(rest / 16);
  }
  return ID.toString('latin1');
}
