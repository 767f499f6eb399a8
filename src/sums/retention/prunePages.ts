import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { Retained } from './retained.ts';

/** Pages (8 kB) looked through in one transaction. */
const PAGES_PER_STEP = 128;

/** Tables that no index leads through by time. */
export function walkedTables(engine: Engine): Retained[] {
  return ['event_key', 'idempotent_increment', ...(engine === 'postgres' ? (['reference_1d'] as const) : [])];
}

/**
 * Goes a step through a table and deletes what is older than it is kept (migrations/functions/prune_pages.sql says how).
 *
 * @param passEveryMs from the end of a pass to the beginning of the next one.
 */
export async function prunePages(
  db: Queryable,
  table: Retained,
  passEveryMs: number,
): Promise<{ rows: number; more: boolean }> {
  const { rows } = await db.query<{ removed: string; more: boolean }>(
    `select removed, more from prune_pages($1, $2, $3 * interval '1 millisecond')`,
    [table, PAGES_PER_STEP, passEveryMs],
  );
  return { rows: Number(rows[0]!.removed), more: rows[0]!.more };
}
