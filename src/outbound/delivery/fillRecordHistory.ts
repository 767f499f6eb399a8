import type { Queryable } from '../../ground/db/queryable.ts';

/** How long a subscriber waits for the records of before, and how long one step of the loop goes on, in ms. */
export const FILL_MS = 500;

/**
 * Adds up the records of tenants whose subscribers have just begun to listen to `record.processed`, a part of them
 * (`fill_record_history` in migrations/functions says how). Until it is done, their messages wait for what is still
 * missing.
 *
 * @returns whether there is more to do. Also false when another instance is at it.
 */
export async function fillRecordHistory(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ more: boolean }>(
    `select fill_record_history($1 * interval '1 millisecond') as more`,
    [FILL_MS],
  );
  return rows[0]!.more;
}
