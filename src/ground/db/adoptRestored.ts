import type { Queryable } from './queryable.ts';

/**
 * Makes transaction ids that came with a backup from another server ids of this one. An id ahead of the server's own
 * counter can be from nowhere else, and what bears it would be taken for not yet committed: messages would not be sent,
 * and windows would stay stale, until the counter has passed it. Changes nothing on a database that was not restored.
 *
 * @returns how many rows bore one.
 */
export async function adoptRestored(db: Queryable): Promise<number> {
  const messages = await db.query(
    `update outbox set xid = pg_current_xact_id() where fanned_out_at is null and xid > pg_current_xact_id()`,
  );
  const windows = await db.query(
    `update late_window set changed_by = pg_current_xact_id()
     where (stale or stale_references) and changed_by > pg_current_xact_id()`,
  );
  return (messages.rowCount ?? 0) + (windows.rowCount ?? 0);
}
