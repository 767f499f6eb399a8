import type pg from 'pg';

/**
 * Rows of usage_30s folded in one transaction, about: late batches wait for it, some 30 µs a row (docs/adr/0038).
 */
const ROWS_PER_STEP = 5_000;

/**
 * Adds a step of what has closed to hours and days, on the postgres engine (`fold_windows` in migrations/functions says
 * how). One round trip, one transaction: statements of one message are.
 *
 * @param rows of usage_30s, about.
 * @returns whether there is more to do. Also false when another instance is at it.
 * @throws 55P03 when late batches keep it waiting for too long: it has given way to them.
 */
export async function foldWindows(client: pg.ClientBase, rows = ROWS_PER_STEP): Promise<boolean> {
  // pg has a result for each statement of a message
  const results = await client.query(
    `set transaction isolation level read committed; select fold_windows(${Math.floor(rows)}) as more`,
  );
  return (results as unknown as pg.QueryResult<{ more: boolean }>[])[1]!.rows[0]!.more;
}
