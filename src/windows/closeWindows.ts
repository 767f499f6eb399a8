import type pg from 'pg';

/**
 * Closes every window that ended more than `graceMs` ago on the database's clock.
 *
 * The exclusive lock is granted once no batch is in its transaction, so every batch that took one of these windows
 * for open has committed; batches that come later see them closed. The update is conditional: of several
 * instances one wins, and a holder that was stopped and wakes up changes nothing.
 *
 * @param lockTimeoutMs how long to wait for batches under way. New batches queue behind a waiting closer, so this is
 * also how long a stuck one can hold up the others.
 * @returns how far windows are closed now, in microseconds since the epoch, and whether this call moved it.
 */
export async function closeWindows(
  client: pg.Client,
  graceMs: number,
  lockTimeoutMs: number,
): Promise<{ closedUntilMicros: number; won: boolean }> {
  const due = await client.query<{ due: boolean; closed: string }>(
    `select date_bin('30 seconds', now() - $1 * interval '1 millisecond', 'epoch'::timestamptz) > closed_until as due,
            (extract(epoch from closed_until) * 1000000)::bigint as closed
     from window_state`,
    [graceMs],
  );
  const state = due.rows[0]!;
  if (!state.due) return { closedUntilMicros: Number(state.closed), won: false };
  await client.query('begin');
  try {
    await client.query(`select set_config('lock_timeout', $1, true)`, [`${lockTimeoutMs}ms`]);
    await client.query(`select pg_advisory_xact_lock(hashtext('tidemark.windows'))`);
    const moved = await client.query<{ closed: string }>(
      `update window_state set closed_until = w, updated_at = now()
       from date_bin('30 seconds', now() - $1 * interval '1 millisecond', 'epoch'::timestamptz) as w
       where closed_until < w
       returning (extract(epoch from closed_until) * 1000000)::bigint as closed`,
      [graceMs],
    );
    await client.query('commit');
    return { closedUntilMicros: Number(moved.rows[0]?.closed ?? state.closed), won: moved.rows.length > 0 };
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
