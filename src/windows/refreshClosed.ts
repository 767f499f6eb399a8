import type pg from 'pg';
import { refreshRollup } from './refreshRollup.ts';

/**
 * Brings the continuous aggregates up to the closed windows: the 30-second one in steps of at most `stepMinutes`,
 * so that hours of downtime do not become one huge refresh, then the hours and the days that are whole.
 *
 * Order matters. A refresh moves the aggregate's watermark to its end, and rows below the watermark are served from
 * what is materialized: nothing may be refreshed past a gap, nor past what is closed.
 */
export async function refreshClosed(client: pg.Client, stepMinutes: number): Promise<void> {
  while (await refreshStep(client, stepMinutes));
  await refreshWhole(client, 'usage_1h', '1 hour', 'refreshed_30s', 'refreshing_1h', 'refreshed_1h', 24);
  const days = await refreshWhole(
    client,
    'usage_1d',
    '1 day',
    'refreshed_1h',
    'refreshing_1d',
    'refreshed_1d',
    7,
  );
  for (const { from, to } of days) await refreshRollup(client, 'reference_1d', from, to);
}

interface Range {
  from: string;
  to: string;
}

/** @returns whether there is more to do. */
async function refreshStep(client: pg.Client, stepMinutes: number): Promise<boolean> {
  const { rows } = await client.query<Range & { last: boolean }>(
    `select refreshed_30s::text as from, step::text as to, step = closed_until as last
     from window_state, least(closed_until, refreshed_30s + $1 * interval '1 minute') as step
     where refreshed_30s < closed_until`,
    [stepMinutes],
  );
  const step = rows[0];
  if (!step) return false;
  await refreshRollup(client, 'usage_30s', step.from, step.to);
  const moved = await client.query(
    'update window_state set refreshed_30s = $2, updated_at = now() where refreshed_30s = $1',
    [step.from, step.to],
  );
  return moved.rowCount === 1 && !step.last;
}

/**
 * Refreshes the whole buckets of a level that the level below has reached, at most `most` of them at a time.
 * `refreshing` is moved, and committed, before the refresh takes its snapshot: a late event marked after that knows
 * that this refresh may lack it.
 */
async function refreshWhole(
  client: pg.Client,
  rollup: 'usage_1h' | 'usage_1d',
  bucket: string,
  below: string,
  refreshing: string,
  refreshed: string,
  most: number,
): Promise<Range[]> {
  const done: Range[] = [];
  for (;;) {
    const { rows } = await client.query<Range>(
      `update window_state set ${refreshing} = greatest(${refreshing}, step), updated_at = now()
       from (select least(date_bin('${bucket}', ${below}, 'epoch'::timestamptz),
                          ${refreshed} + ${most} * interval '${bucket}') as step from window_state) as next
       where ${refreshed} < step
       returning ${refreshed}::text as from, step::text as to`,
    );
    const step = rows[0];
    if (!step) return done;
    await refreshRollup(client, rollup, step.from, step.to);
    const moved = await client.query(
      `update window_state set ${refreshed} = $2, updated_at = now() where ${refreshed} = $1`,
      [step.from, step.to],
    );
    done.push(step);
    if (moved.rowCount !== 1) return done;
  }
}
