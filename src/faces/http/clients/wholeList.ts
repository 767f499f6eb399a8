import type { Page } from '../../../ground/db/paging.ts';
import { TidemarkError } from '../../../model/errors.ts';

/** Rows that an answer to a client which knows no pages has at most. */
export const MOST_ROWS = 100_000;

/**
 * The rows of a page that was asked for with `MOST_ROWS` as its limit, for clients that know no pages.
 *
 * @throws {TidemarkError} `range_too_large` where there are more: part of them would look like all.
 */
export function requireWhole<Row>({ data, nextCursor }: Page<Row>): Row[] {
  if (nextCursor === null) return data;
  throw new TidemarkError(
    'range_too_large',
    `the answer has more than ${MOST_ROWS} rows; ask for a shorter range, or for fewer groups`,
  );
}

/**
 * All of a list whose pages are of one moment each, for the same clients.
 *
 * @param read a page, by the cursor of the one before.
 * @throws {TidemarkError} `range_too_large`.
 */
export async function wholeList<Row>(
  read: (page: { cursor: string | undefined; limit: number }) => Promise<Page<Row>>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const page = await read({ cursor, limit: 1_000 });
    for (const row of page.data) rows.push(row);
    cursor = page.nextCursor ?? undefined;
    if (rows.length > MOST_ROWS) requireWhole({ data: rows, nextCursor: '' });
  } while (cursor !== undefined);
  return rows;
}
