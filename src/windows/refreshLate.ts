import type pg from 'pg';
import { type Rollup, refreshRollup } from './refreshRollup.ts';

/** Ranges with invalid buckets given to one refresh: TimescaleDB materializes the whole hull beyond ten of them. */
const RANGES_PER_REFRESH = 8;
/** Buckets of one level brought up to date in one round. */
const BUCKETS_PER_ROUND = 5_000;

interface Level {
  rollup: Rollup;
  bucket: string;
  bucketMs: number;
  /** Which rows of late_window, as l, this level lacks. */
  lacking: string;
  /** How far this level has been refreshed: only below that can a late event be missing. */
  refreshed: string;
  /** What becomes of a row once this level has it: a level that has not begun with its bucket will see it by itself. */
  caughtUp: string;
}

const LEVELS: Level[] = [
  {
    rollup: 'usage_30s',
    bucket: '30 seconds',
    bucketMs: 30_000,
    lacking: 'l.stale = 3',
    refreshed: 'refreshed_30s',
    caughtUp: 'stale = case when l.bucket < s.refreshing_1h then 2 else 0 end',
  },
  {
    rollup: 'usage_1h',
    bucket: '1 hour',
    bucketMs: 3_600_000,
    lacking: 'l.stale = 2',
    refreshed: 'refreshed_1h',
    caughtUp: 'stale = case when l.bucket < s.refreshing_1d then 1 else 0 end',
  },
  {
    rollup: 'usage_1d',
    bucket: '1 day',
    bucketMs: 86_400_000,
    lacking: 'l.stale = 1',
    refreshed: 'refreshed_1d',
    caughtUp: 'stale = 0',
  },
  {
    rollup: 'reference_1d',
    bucket: '1 day',
    bucketMs: 86_400_000,
    lacking: 'l.stale_references',
    refreshed: 'refreshed_1d',
    caughtUp: 'stale_references = false',
  },
];

/**
 * Refreshes what late events have changed, from the finest level up, since each level reads the one below it.
 *
 * @returns how many windows were brought up to date, counted once per level.
 */
export async function refreshLate(client: pg.Client): Promise<number> {
  let windows = 0;
  for (const level of LEVELS) windows += await refreshLevel(client, level);
  return windows;
}

/**
 * One level: (1) what it lacks, and the snapshot that shows it; (2) the refresh, which sees at least as much; (3) note
 * what that snapshot showed. A window that a batch has changed since then was changed by a transaction the snapshot
 * does not show, and stays stale. A crash before (3) repeats a refresh that then finds nothing to do.
 */
async function refreshLevel(client: pg.Client, level: Level): Promise<number> {
  const lacking = await client.query<{ start: string; snapshot: string }>(
    `select distinct extract(epoch from date_bin('${level.bucket}', l.bucket, 'epoch'::timestamptz)) * 1000 as start,
            pg_current_snapshot()::text as snapshot
     from late_window l, window_state s
     where ${level.lacking} and l.bucket < s.${level.refreshed}
     order by start
     limit ${BUCKETS_PER_ROUND}`,
  );
  if (lacking.rows.length === 0) return 0;
  const starts = lacking.rows.map((row) => Number(row.start));
  for (const range of hulls(starts, level.bucketMs)) {
    await refreshRollup(client, level.rollup, range.from, range.to);
  }
  const caughtUp = await client.query(
    `update late_window l set ${level.caughtUp}, updated_at = now()
     from window_state s
     where ${level.lacking} and l.bucket < $1 and pg_visible_in_snapshot(l.changed_by, $2::pg_snapshot)`,
    [new Date(starts.at(-1)! + level.bucketMs), lacking.rows[0]!.snapshot],
  );
  return caughtUp.rowCount ?? 0;
}

/** Ranges that cover the given bucket starts (ms): neighbours joined, and at most RANGES_PER_REFRESH joined ones each. */
export function hulls(bucketStarts: number[], lengthMs: number): { from: string; to: string }[] {
  const starts = bucketStarts.toSorted((a, b) => a - b);
  const found: { from: number; to: number; ranges: number }[] = [];
  for (const start of starts) {
    const last = found.at(-1);
    const adjoins = last !== undefined && last.to === start;
    if (last && (adjoins || last.ranges < RANGES_PER_REFRESH)) {
      last.to = start + lengthMs;
      if (!adjoins) last.ranges++;
    } else {
      found.push({ from: start, to: start + lengthMs, ranges: 1 });
    }
  }
  return found.map(({ from, to }) => ({
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
  }));
}
