import { TidemarkError } from '../errors.ts';

/** Where a page ended, as the client hands it back: opaque to it, a JSON array of the last row's sort key to us. */
export type Position = readonly (string | number)[];

export function encodeCursor(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/**
 * @param shape the type of each part of the sort key.
 * @throws {TidemarkError} `cursor_invalid`.
 */
export function decodeCursor(cursor: string, shape: readonly ('string' | 'number')[]): Position {
  try {
    const position: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const fits =
      Array.isArray(position) &&
      position.length === shape.length &&
      position.every(
        (part, i) => typeof part === shape[i] && (typeof part !== 'string' || !part.includes('\0')),
      ) &&
      position.every((part) => typeof part !== 'number' || Math.abs(part) <= 8.64e18);
    if (fits) return position as Position;
  } catch {
    // not base64url of JSON: refused below like any other
  }
  throw new TidemarkError('cursor_invalid', 'the cursor is not one that this list has returned');
}

export interface Page<Row> {
  data: Row[];
  nextCursor: string | null;
}

/** Makes a page of the rows that were read with a limit of `limit + 1`. */
export function pageOf<Row>(rows: Row[], limit: number, position: (row: Row) => Position): Page<Row> {
  if (rows.length <= limit) return { data: rows, nextCursor: null };
  const data = rows.slice(0, limit);
  return { data, nextCursor: encodeCursor(position(data[limit - 1]!)) };
}
