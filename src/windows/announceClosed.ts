import type { Queryable } from '../db/connections.ts';

/** Windows announced in one transaction: ten minutes of them. */
const WINDOWS_PER_STEP = 20;

/**
 * Writes `window.closed` messages for what has closed into the outbox, for tenants that have asked for them.
 *
 * @returns whether there is more to do. Also false when another instance is at it.
 */
export async function announceClosed(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ more: boolean }>('select announce_closed_windows($1) as more', [
    WINDOWS_PER_STEP,
  ]);
  return rows[0]!.more;
}
