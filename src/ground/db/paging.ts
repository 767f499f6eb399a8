import { TidemarkError } from '../../model/errors.ts';

/** Where a page ended: the sort key of its last row. */
export type Position = readonly (string | number)[];

/** What a part of a sort key may be: a text, a UUID, a count, or a moment in ms or µs since the epoch. */
export type PartKind = 'text' | 'uuid' | 'count' | 'ms' | 'micros';

/** What a cursor belongs to: it is refused by every other list, and by the same one in another order. */
export interface List {
  name: string;
  key: readonly PartKind[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** The years 1 to 9999: beyond them, dates have no four-digit form. */
const EARLIEST_MS = -62_135_596_800_000;
const LATEST_MS = 253_402_300_799_999;

/** Whether PostgreSQL can read the part as what it is compared with. */
const IS_KIND: Record<PartKind, (part: unknown) => boolean> = {
  text: (part) => typeof part === 'string' && !part.includes('\0') && part.isWellFormed(),
  uuid: (part) => typeof part === 'string' && UUID.test(part),
  count: (part) => Number.isInteger(part) && (part as number) >= 0 && (part as number) < 2 ** 31,
  ms: (part) => isMoment(part, 1),
  micros: (part) => isMoment(part, 1_000),
};

function isMoment(part: unknown, perMs: number): boolean {
  const ms = Number.isInteger(part) ? (part as number) / perMs : Number.NaN;
  return ms >= EARLIEST_MS && ms <= LATEST_MS;
}

/** A position as the client hands it back: opaque to it, a JSON array of the list's name and the key to us. */
export function encodeCursor(list: List, position: Position): string {
  return Buffer.from(JSON.stringify([list.name, ...position])).toString('base64url');
}

/** @throws {TidemarkError} `cursor_invalid`. */
export function decodeCursor(cursor: string, list: List): Position {
  try {
    const [name, ...position] = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const fits =
      name === list.name &&
      position.length === list.key.length &&
      list.key.every((kind, i) => IS_KIND[kind](position[i]));
    if (fits) return position;
  } catch {
    // not base64url of a JSON array: refused below like any other
  }
  throw new TidemarkError('cursor_invalid', 'the cursor is not one that this list has returned');
}

export interface Page<Row> {
  data: Row[];
  nextCursor: string | null;
}

/** Makes a page of the rows that were read with a limit of `limit + 1`. */
export function pageOf<Row>(
  rows: Row[],
  limit: number,
  list: List,
  position: (row: Row) => Position,
): Page<Row> {
  if (rows.length <= limit) return { data: rows, nextCursor: null };
  const data = rows.slice(0, limit);
  return { data, nextCursor: encodeCursor(list, position(data[limit - 1]!)) };
}
