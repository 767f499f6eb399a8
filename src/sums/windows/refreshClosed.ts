import type pg from 'pg';
import type { Refresh, Rollup } from './refreshRollup.ts';

/**
 * Brings the continuous aggregates closer to the closed windows: the 30-second one by a step of at most
 * `stepMinutes`, so that hours of downtime do not become one huge refresh, then the hours and the days that are whole.
 *
 * A level above reads the one below it as its view, which makes rows of all events that are not refreshed yet, whatever the
 * range: so while the first is behind, the others wait until a refresh of theirs is worth it.
 *
 * Order matters. A refresh moves the aggregate's watermark to its end, and rows below the watermark are served from
 * what is materialized: nothing may be refreshed past a gap, nor past what is closed.
 *
 * @returns whether there is more to do.
 */
export async function refreshClosed(
  client: pg.Client,
  refresh: Refresh,
  stepMinutes: number,
): Promise<boolean> {
  const behind = await refreshStep(client, refresh, stepMinutes);
  let more = behind;
  for (const level of WHOLE_BUCKETS) more = (await refreshWhole(client, refresh, level, behind)) || more;
  return more;
}

/** A level whose buckets are refreshed once they are whole. */
interface Level {
  /** Refreshed together, before the level counts as refreshed. */
  rollups: Rollup[];
  bucket: string;
  /** Columns of window_state. */
  below: string;
  refreshing: string;
  refreshed: string;
  /** Buckets per refresh at most, and at least while the level of windows is behind. */
  most: number;
}

const WHOLE_BUCKETS: Level[] = [
  {
    rollups: ['usage_1h'],
    bucket: '1 hour',
    below: 'refreshed_30s',
    refreshing: 'refreshing_1h',
    refreshed: 'refreshed_1h',
    most: 24,
  },
  {
    rollups: ['usage_1d', 'reference_1d'],
    bucket: '1 day',
    below: 'refreshed_1h',
    refreshing: 'refreshing_1d',
    refreshed: 'refreshed_1d',
    most: 7,
  },
];

interface Range {
  from: string;
  to: string;
}

/** @returns whether there is more to do. */
async function refreshStep(client: pg.Client, refresh: Refresh, stepMinutes: number): Promise<boolean> {
  const { rows } = await client.query<Range & { last: boolean }>(
    `select refreshed_30s::text as from, step::text as to, step = closed_until as last
     from window_state, least(closed_until, refreshed_30s + $1 * interval '1 minute') as step
     where refreshed_30s < closed_until`,
    [stepMinutes],
  );
  const step = rows[0];
  if (!step) return false;
  await refresh('usage_30s', step.from, step.to, 'trusted');
  const moved = await client.query(
    'update window_state set refreshed_30s = $2, updated_at = now() where refreshed_30s = $1',
    [step.from, step.to],
  );
  return moved.rowCount === 1 && !step.last;
}

/**
 * Refreshes the next whole buckets of a level that the level below has reached. `refreshing` is moved, and committed,
 * before the refresh takes its snapshot: a late event marked after that knows that this refresh may lack it.
 *
 * @returns whether there may be more to do.
 */
async function refreshWhole(
  client: pg.Client,
  refresh: Refresh,
  level: Level,
  behind: boolean,
): Promise<boolean> {
  const { bucket, below, refreshing, refreshed, most } = level;
  const { rows } = await client.query<Range>(
    `update window_state set ${refreshing} = greatest(${refreshing}, step), updated_at = now()
     from (select least(date_bin('${bucket}', ${below}, 'epoch'::timestamptz),
                        ${refreshed} + ${most} * interval '${bucket}') as step from window_state) as next
     where ${refreshed} < step and (not $1 or ${refreshed} + ${most} * interval '${bucket}' <= step)
     returning ${refreshed}::text as from, step::text as to`,
    [behind],
  );
  const step = rows[0];
  if (!step) return false;
  for (const rollup of level.rollups) await refresh(rollup, step.from, step.to, 'trusted');
  const moved = await client.query(
    `update window_state set ${refreshed} = $2, updated_at = now() where ${refreshed} = $1`,
    [step.from, step.to],
  );
  return moved.rowCount === 1;
}
