import type { Queryable } from '../../ground/db/queryable.ts';

export interface ClosingLimits {
  /** How long after its end a window stays open, in ms. Negative ones close windows that have not ended. */
  graceMs: number;
  /**
   * How long to wait for batches under way, in ms. New batches queue behind a waiting closer, so this is also how
   * long a slow one can hold up the others.
   */
  lockTimeoutMs: number;
  /** After how long a batch whose process sends nothing is ended, in ms. */
  stalledMs: number;
}

export interface Closing {
  /** How far windows are closed now, in microseconds since the epoch. */
  closedUntilMicros: number;
  /**
   * Null: nothing was due. Lost: another instance was at it or faster. Held: not tried, since a batch has been under
   * way for longer than the lock timeout.
   */
  outcome: 'won' | 'lost' | 'held' | null;
  /** From now to when the next window is due, in ms. */
  nextDueMs: number;
  /** Wait for the batches under way, in ms; null where nobody waited. */
  lockWaitMs: number | null;
  /** From the end of the earliest window that was due, and its grace, to its being closed, in ms; null likewise. */
  lagMs: number | null;
}

interface Row {
  outcome: Closing['outcome'];
  closed: string;
  next_due_ms: number;
  lock_wait_ms: number | null;
  lag_ms: number | null;
}

/**
 * Closes every window that ended more than the grace ago on the database's clock (migrations/functions/close_windows.sql
 * says how). One statement: whatever becomes of this process or its connection, it takes effect wholly or not at
 * all, and no lock outlives it.
 *
 * @throws 55P03 when batches kept the lock for longer than the timeout.
 */
export async function closeWindows(db: Queryable, limits: ClosingLimits): Promise<Closing> {
  const { rows } = await db.query<Row>(
    `select outcome, (extract(epoch from closed_until) * 1000000)::bigint as closed,
            next_due_ms, lock_wait_ms, lag_ms
     from close_windows($1 * interval '1 millisecond', $2 * interval '1 millisecond', $3 * interval '1 millisecond')`,
    [limits.graceMs, limits.lockTimeoutMs, limits.stalledMs],
  );
  const row = rows[0]!;
  return {
    closedUntilMicros: Number(row.closed),
    outcome: row.outcome,
    nextDueMs: row.next_due_ms,
    lockWaitMs: row.lock_wait_ms,
    lagMs: row.lag_ms,
  };
}
