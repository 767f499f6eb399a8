import type pg from 'pg';
import type { Refresh, Rollup } from './refreshRollup.ts';
import { WINDOW_MS } from './window.ts';

/** Buckets brought up to date in one round. */
const BUCKETS_PER_ROUND = 2_000;

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** What late events have changed, as one snapshot shows it. */
interface Lacking {
  /** Starts (ms) of the buckets that hold a changed window, ascending. */
  starts: number[];
  snapshot: string;
}

/** How far (ms) a level has been refreshed, and how far a refresh of it has begun. */
interface Progress {
  hours: { refreshed: number; refreshing: number };
  days: { refreshed: number; refreshing: number };
}

export interface CaughtUp {
  /** Windows that were brought up to date. */
  windows: number;
  /** Whether more of them wait than one round takes. */
  more: boolean;
}

const NOTHING: CaughtUp = { windows: 0, more: false };

/** Refreshes what late events have changed. */
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
 * A failure anywhere leaves all of it stale, and the next round repeats it.
 */
async function refreshLateUsage(client: pg.Client, refresh: Refresh): Promise<CaughtUp> {
  const { starts, snapshot } = await lacking(client, 'stale', '30 seconds', 'refreshed_30s');
  if (starts.length === 0) return NOTHING;
  await refreshAll(refresh, 'usage_30s', starts, WINDOW_MS);
  const { hours, days } = await progress(client);
  await refreshAll(refresh, 'usage_1h', bucketsBelow(hours.refreshed, starts, HOUR_MS), HOUR_MS);
  await refreshAll(refresh, 'usage_1d', bucketsBelow(days.refreshed, starts, DAY_MS), DAY_MS);
  const caughtUp = await client.query(
    `update late_window set stale = false, updated_at = now()
     where stale and bucket <= $1 and pg_visible_in_snapshot(changed_by, $2::pg_snapshot)
       and not (bucket >= $3 and bucket < $4) and not (bucket >= $5 and bucket < $6)`,
    [
      new Date(starts.at(-1)!),
      snapshot,
      ...[hours.refreshed, hours.refreshing, days.refreshed, days.refreshing].map((ms) => new Date(ms)),
    ],
  );
  return { windows: caughtUp.rowCount ?? 0, more: starts.length === BUCKETS_PER_ROUND };
}

/** reference_1d comes from the events themselves, so a day costs a scan of it: only days with late references. */
async function refreshLateReferences(client: pg.Client, refresh: Refresh): Promise<CaughtUp> {
  const { starts, snapshot } = await lacking(client, 'stale_references', '1 day', 'refreshed_1d');
  if (starts.length === 0) return NOTHING;
  await refreshAll(refresh, 'reference_1d', starts, DAY_MS);
  const caughtUp = await client.query(
    `update late_window set stale_references = false, updated_at = now()
     where stale_references and bucket < $1 and pg_visible_in_snapshot(changed_by, $2::pg_snapshot)`,
    [new Date(starts.at(-1)! + DAY_MS), snapshot],
  );
  return { windows: caughtUp.rowCount ?? 0, more: starts.length === BUCKETS_PER_ROUND };
}

async function lacking(
  client: pg.Client,
  what: 'stale' | 'stale_references',
  bucket: string,
  refreshed: string,
): Promise<Lacking> {
  const { rows } = await client.query<{ start: string; snapshot: string }>(
    `select distinct extract(epoch from date_bin('${bucket}', bucket, 'epoch'::timestamptz)) * 1000 as start,
            pg_current_snapshot()::text as snapshot
     from late_window
     where ${what} and bucket < (select ${refreshed} from window_state)
     order by start
     limit ${BUCKETS_PER_ROUND}`,
  );
  return { starts: rows.map((row) => Number(row.start)), snapshot: rows[0]?.snapshot ?? '' };
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

/** Starts of the buckets of `lengthMs` that hold one of the given, below a bound that is such a start itself. */
function bucketsBelow(bound: number, starts: number[], lengthMs: number): number[] {
  const wide = starts
    .filter((start) => start < bound)
    .map((start) => Math.floor(start / lengthMs) * lengthMs);
  return [...new Set(wide)];
}

async function refreshAll(
  refresh: Refresh,
  rollup: Rollup,
  starts: number[],
  lengthMs: number,
): Promise<void> {
  for (const { from, to } of ranges(starts, lengthMs)) await refresh(rollup, from, to, 'distrusted');
}

/** Ranges of just the given buckets (by their starts, in ms), neighbours joined. */
function ranges(bucketStarts: number[], lengthMs: number): { from: string; to: string }[] {
  const found: { from: number; to: number }[] = [];
  for (const start of bucketStarts.toSorted((a, b) => a - b)) {
    const last = found.at(-1);
    if (last?.to === start) last.to = start + lengthMs;
    else found.push({ from: start, to: start + lengthMs });
  }
  return found.map(({ from, to }) => ({
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
  }));
}
