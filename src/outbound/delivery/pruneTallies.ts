import type { Queryable } from '../../ground/db/queryable.ts';

/** Tallies deleted in one statement. */
const ROWS_PER_STEP = 10_000;
/** The longest period. */
const PERIOD_MS = 31 * 86_400_000;

/**
 * Deletes sums of periods to which no event can be added any more, and of rules that are gone.
 *
 * @param acceptBehindMs how old an event may be that is accepted.
 * @returns whether there is more to do.
 */
export async function pruneTallies(db: Queryable, acceptBehindMs: number): Promise<boolean> {
  const { rowCount } = await db.query(
    `delete from usage_tally where ctid = any (array(
       select ctid from usage_tally t
       where period_start < now() - $1 * interval '1 millisecond'
         or not exists (select from alert_rule r where r.id = t.rule_id)
       limit $2))`,
    [acceptBehindMs + PERIOD_MS + 86_400_000, ROWS_PER_STEP],
  );
  return rowCount === ROWS_PER_STEP;
}
