import type pg from 'pg';
import { WINDOW_MS } from '../../model/window.ts';
import { refreshDensity } from './refreshDensity.ts';
import { type LateBucket, type Range, refreshRanges } from './refreshRanges.ts';
import type { Refresh, Rollup } from './refreshRollup.ts';

/**
 * Brought up to date in one step: buckets, and windows of customers. What is done is noted after each, so a failure
 * costs one of them.
 */
const BUCKETS_PER_STEP = 10_000;
const ROWS_PER_STEP = 50_000;

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** What late events have changed, as one snapshot shows it. */
interface Lacking {
  /** The buckets that hold a changed window, ascending. */
  buckets: LateBucket[];
  snapshot: string;
  /** Whether there is more of it. */
  more: boolean;
}

/** How far (ms) a level has been refreshed, and how far a refresh of it has begun. */
interface Progress {
  hours: { refreshed: number; refreshing: number };
  days: { refreshed: number; refreshing: number };
}

export interface CaughtUp {
  /** Windows that were brought up to date. */
  windows: number;
  /** Whether more of them wait than one step takes. */
  more: boolean;
}

const NOTHING: CaughtUp = { windows: 0, more: false };

/** Whether there is anything that `refreshLate` would do. */
export async function isAnyLate(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ any: boolean }>(
    `select exists (select from late_window where stale and bucket < s.refreshed_30s)
         or exists (select from late_window where stale_references and bucket < s.refreshed_1d) as any
     from window_state s`,
  );
  return rows[0]!.any;
}

/** Refreshes a step of what late events have changed. */
export async function refreshLate(client: pg.Client, refresh: Refresh): Promise<CaughtUp> {
  const usage = await refreshLateUsage(client, refresh);
  const references = await refreshLateReferences(client, refresh);
  return { windows: usage.windows + references.windows, more: usage.more || references.more };
}

/**
 * (1) What is stale, and the snapshot that shows it. (2) usage_30s, which then has at least that. (3) The hours and
 * (4) the days above that had been refreshed before; one that a refresh has not begun with will see the change by
 * itself, and of one in between nobody knows: its windows stay stale. (5) What the snapshot of (1) showed is no longer
 * stale; a window that was changed since then was changed by a transaction the snapshot does not show.
 *
 * A failure anywhere leaves the step stale, and the next round repeats it. What has closed may be refreshed, by whomever,
 * between any two calls.
 */
async function refreshLateUsage(client: pg.Client, refresh: Refresh): Promise<CaughtUp> {
  const { buckets, snapshot, more } = await lackingUsage(client);
  if (buckets.length === 0) return NOTHING;
  await refreshAll(client, refresh, 'usage_30s', buckets, WINDOW_MS);
  const { hours, days } = await progress(client);
  await refreshAll(client, refresh, 'usage_1h', wider(buckets, hours.refreshed, HOUR_MS), HOUR_MS);
  await refreshAll(client, refresh, 'usage_1d', wider(buckets, days.refreshed, DAY_MS), DAY_MS);
  const caughtUp = await client.query(
    `update late_window set stale = false, updated_at = now()
     where stale and bucket between $1 and $2 and pg_visible_in_snapshot(changed_by, $3::pg_snapshot)
       and not (bucket >= $4 and bucket < $5) and not (bucket >= $6 and bucket < $7)`,
    [
      new Date(buckets[0]!.start),
      new Date(buckets.at(-1)!.start),
      snapshot,
      ...[hours.refreshed, hours.refreshing, days.refreshed, days.refreshing].map((ms) => new Date(ms)),
    ],
  );
  return { windows: caughtUp.rowCount ?? 0, more };
}

/** reference_1d comes from the events themselves, so a day costs a scan of it: only days with late references. */
async function refreshLateReferences(client: pg.Client, refresh: Refresh): Promise<CaughtUp> {
  const { buckets, snapshot, more } = await lackingReferences(client);
  if (buckets.length === 0) return NOTHING;
  await refreshAll(client, refresh, 'reference_1d', buckets, DAY_MS);
  const caughtUp = await client.query(
    `update late_window set stale_references = false, updated_at = now()
     where stale_references and bucket >= $1 and bucket < $2 and pg_visible_in_snapshot(changed_by, $3::pg_snapshot)`,
    [new Date(buckets[0]!.start), new Date(buckets.at(-1)!.start + DAY_MS), snapshot],
  );
  return { windows: caughtUp.rowCount ?? 0, more };
}

/**
 * The latest first: what lies behind all that has been refreshed TimescaleDB takes for open, and makes rows of its events for
 * each read, also in the refresh of the levels above. The first bucket may have more rows than are counted.
 */
async function lackingUsage(client: pg.Client): Promise<Lacking> {
  const { rows } = await client.query<{ start: string; rows: number; snapshot: string }>(
    `select extract(epoch from bucket) * 1000 as start, count(*)::int as rows, pg_current_snapshot()::text as snapshot
     from (select bucket from late_window
           where stale and bucket < (select refreshed_30s from window_state)
           order by bucket desc limit ${ROWS_PER_STEP}) as latest
     group by bucket order by bucket desc limit ${BUCKETS_PER_STEP}`,
  );
  return lacking(rows, BUCKETS_PER_STEP);
}

/** Days per step at most. */
const DAYS_PER_STEP = 31;

async function lackingReferences(client: pg.Client): Promise<Lacking> {
  const { rows } = await client.query<{ start: string; rows: number; snapshot: string }>(
    `select extract(epoch from date_bin('1 day', bucket, 'epoch'::timestamptz)) * 1000 as start, count(*)::int as rows,
            pg_current_snapshot()::text as snapshot
     from (select bucket from late_window
           where stale_references and bucket < (select refreshed_1d from window_state)
           order by bucket desc limit ${ROWS_PER_STEP}) as latest
     group by 1 order by 1 desc limit ${DAYS_PER_STEP}`,
  );
  return lacking(rows, DAYS_PER_STEP);
}

function lacking(rows: { start: string; rows: number; snapshot: string }[], most: number): Lacking {
  const buckets = rows.map((row) => ({ start: Number(row.start), rows: row.rows })).reverse();
  const counted = buckets.reduce((sum, bucket) => sum + bucket.rows, 0);
  const more = buckets.length === most || counted === ROWS_PER_STEP;
  return { buckets, snapshot: rows[0]?.snapshot ?? '', more };
}

async function progress(client: pg.Client): Promise<Progress> {
  const { rows } = await client.query<Record<string, string>>(
    `select extract(epoch from refreshed_1h) * 1000 as refreshed_1h,
            extract(epoch from refreshing_1h) * 1000 as refreshing_1h,
            extract(epoch from refreshed_1d) * 1000 as refreshed_1d,
            extract(epoch from refreshing_1d) * 1000 as refreshing_1d
     from window_state`,
  );
  const at = (column: string) => Number(rows[0]![column]);
  return {
    hours: { refreshed: at('refreshed_1h'), refreshing: at('refreshing_1h') },
    days: { refreshed: at('refreshed_1d'), refreshing: at('refreshing_1d') },
  };
}

/** The buckets of `lengthMs` that hold one of the given, below a bound that is the start of such a one itself. */
function wider(buckets: LateBucket[], bound: number, lengthMs: number): LateBucket[] {
  const found: LateBucket[] = [];
  for (const bucket of buckets) {
    if (bucket.start >= bound) break;
    const start = Math.floor(bucket.start / lengthMs) * lengthMs;
    const last = found.at(-1);
    if (last?.start === start) last.rows += bucket.rows;
    else found.push({ start, rows: bucket.rows });
  }
  return found;
}

async function refreshAll(
  client: pg.Client,
  refresh: Refresh,
  rollup: Rollup,
  buckets: LateBucket[],
  lengthMs: number,
): Promise<void> {
  for (const { from, to } of (await rangesOf(client, rollup, buckets, lengthMs)).reverse()) {
    await refresh(rollup, new Date(from).toISOString(), new Date(to).toISOString(), 'distrusted');
  }
}

async function rangesOf(
  client: pg.Client,
  rollup: Rollup,
  buckets: LateBucket[],
  lengthMs: number,
): Promise<Range[]> {
  const [first, last] = [buckets[0], buckets.at(-1)];
  if (!first || !last) return [];
  if (buckets.length === 1) return [{ from: first.start, to: first.start + lengthMs }];
  const density = await refreshDensity(client, rollup, first.start, last.start + lengthMs);
  return refreshRanges(buckets, lengthMs, (from, to) => density.work(from, to));
}
