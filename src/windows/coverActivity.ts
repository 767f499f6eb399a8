import type { Queryable } from '../db/connections.ts';

/** Changed windows of a tenant, over all its customers, brought in at a time. */
export const CHANGED_PER_ROUND = 2_000;

/**
 * Brings what has closed, and what late events have changed since, into the activity tables (`cover_activity` in the
 * migrations says how). One statement, on both engines.
 *
 * @param changed how many windows that late events have changed, at most.
 * @returns whether there is more to do. Also false when another instance is at it.
 */
export async function coverActivity(
  db: Queryable,
  stepMinutes: number,
  changed = CHANGED_PER_ROUND,
): Promise<boolean> {
  const { rows } = await db.query<{ more: boolean | null }>(
    `select more from cover_activity($1 * interval '1 minute', $2)`,
    [stepMinutes, changed],
  );
  return rows[0]!.more ?? false;
}
