import type { Queryable } from '../../ground/db/queryable.ts';

/** Rows deleted in one statement. */
const ROWS_PER_STEP = 10_000;

/**
 * Deletes the records of before that were added up for somebody who has since ceased to listen and begun again.
 *
 * @returns whether there may be more to do.
 */
export async function pruneRecordHistory(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ more: boolean }>('select prune_record_history($1) as more', [
    ROWS_PER_STEP,
  ]);
  return rows[0]!.more;
}
