import type pg from 'pg';

/** Windows that end at or before this are due; $1 is the grace in ms. */
const DUE = `date_bin('30 seconds', now() - $1 * interval '1 millisecond', 'epoch'::timestamptz)`;

export interface Closing {
  /** How far windows are closed now, in microseconds since the epoch. */
  closedUntilMicros: number;
  /** Null: nothing was due. */
  outcome: 'won' | 'lost' | null;
  /** Wait for the batches under way, in ms. */
  lockWaitMs: number;
  /** From the end of the earliest window that this call closed, and its grace, to now; in ms. */
  lagMs: number;
}

/**
 * Closes every window that ended more than `graceMs` ago on the database's clock.
 *
 * The exclusive lock is granted once no batch is in its transaction, so every batch that took one of these windows
 * for open has committed; batches that come later see them closed. The update is conditional: of several
 * instances one wins, and a holder that was stopped and wakes up changes nothing.
 *
 * @param lockTimeoutMs how long to wait for batches under way. New batches queue behind a waiting closer, so this is
 * also how long a stuck one can hold up the others.
 */
export async function closeWindows(
  client: pg.Client,
  graceMs: number,
  lockTimeoutMs: number,
): Promise<Closing> {
  const state = await client.query<{ due: boolean; closed: string; lag_ms: string }>(
    `select ${DUE} > closed_until as due,
            (extract(epoch from closed_until) * 1000000)::bigint as closed,
            extract(epoch from clock_timestamp() - closed_until - interval '30 seconds') * 1000 - $1 as lag_ms
     from window_state`,
    [graceMs],
  );
  const { due, closed, lag_ms } = state.rows[0]!;
  if (!due) return { closedUntilMicros: Number(closed), outcome: null, lockWaitMs: 0, lagMs: 0 };
  const started = performance.now();
  await client.query('begin');
  try {
    await client.query(`select set_config('lock_timeout', $1, true)`, [`${lockTimeoutMs}ms`]);
    await client.query(`select pg_advisory_xact_lock(hashtext('tidemark.windows'))`);
    const lockWaitMs = performance.now() - started;
    const moved = await client.query<{ closed: string }>(
      `update window_state set closed_until = ${DUE}, updated_at = now()
       where closed_until < ${DUE}
       returning (extract(epoch from closed_until) * 1000000)::bigint as closed`,
      [graceMs],
    );
    await client.query('commit');
    return {
      closedUntilMicros: Number(moved.rows[0]?.closed ?? closed),
      outcome: moved.rows.length > 0 ? 'won' : 'lost',
      lockWaitMs,
      lagMs: Number(lag_ms) + performance.now() - started,
    };
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
