import type pg from 'pg';
import { type Rollup, refreshRollup } from './refreshRollup.ts';

/** Ranges with invalid buckets given to one refresh: TimescaleDB materializes the whole hull beyond ten of them. */
const RANGES_PER_REFRESH = 8;

interface Level {
  rollup: Rollup;
  bucket: string;
  /** Value of late_window.stale while this level lacks the change. */
  stale: number;
  /** How far this level has been refreshed: only below that can a late event be missing. */
  refreshed: string;
  /** SQL for what is still stale once this level has it: a level that has not begun with the bucket will see it. */
  staleAfter: string;
}

const LEVELS: Level[] = [
  {
    rollup: 'usage_30s',
    bucket: '30 seconds',
    stale: 3,
    refreshed: 'refreshed_30s',
    staleAfter: 'case when l.bucket < s.refreshing_1h then 2 else 0 end',
  },
  {
    rollup: 'usage_1h',
    bucket: '1 hour',
    stale: 2,
    refreshed: 'refreshed_1h',
    staleAfter: 'case when l.bucket < s.refreshing_1d then 1 else 0 end',
  },
  { rollup: 'usage_1d', bucket: '1 day', stale: 1, refreshed: 'refreshed_1d', staleAfter: '0' },
];

/**
 * Refreshes what late events have changed, from the finest level up, since each level reads the one below it.
 * A window that changes again meanwhile has a higher revision, and stays stale.
 *
 * @returns how many windows were brought up to date at some level.
 */
export async function refreshLate(client: pg.Client): Promise<number> {
  let refreshed = 0;
  for (const level of LEVELS) refreshed += await refreshLevel(client, level);
  return refreshed + (await refreshReferences(client));
}

async function refreshLevel(client: pg.Client, level: Level): Promise<number> {
  const { rows } = await client.query<{ buckets: string[]; windows: string[][] | null }>(
    `with late as (
       select l.bucket, date_bin('${level.bucket}', l.bucket, 'epoch'::timestamptz) as wide,
              l.tenant_id, l.customer_id, l.revision
       from late_window l, window_state s
       where l.stale = ${level.stale} and l.bucket < s.${level.refreshed}
       order by l.bucket
       limit 20000
     )
     select (select array_agg(distinct extract(epoch from wide) * 1000) from late) as buckets,
            (select array_agg(array[bucket::text, tenant_id, customer_id, revision::text]) from late) as windows`,
  );
  const { buckets, windows } = rows[0]!;
  if (!windows) return 0;
  for (const range of hulls(buckets.map(Number), bucketMs(level.bucket))) {
    await refreshRollup(client, level.rollup, range.from, range.to);
  }
  const column = (i: number) => windows.map((window) => window[i]);
  await client.query(
    `update late_window l set stale = ${level.staleAfter}, updated_at = now()
     from window_state s,
          unnest($1::timestamptz[], $2::text[], $3::text[], $4::int[]) as w (bucket, tenant_id, customer_id, revision)
     where l.tenant_id = w.tenant_id and l.customer_id = w.customer_id and l.bucket = w.bucket
       and l.revision = w.revision and l.stale = ${level.stale}`,
    [column(0), column(1), column(2), column(3)],
  );
  return windows.length;
}

/** reference_1d comes from the events themselves, so a day costs a scan of it: only days with late references. */
async function refreshReferences(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ day: string; until: string; seen: string }>(
    `select day::text, (day + interval '1 day')::text as until, max(updated_at)::text as seen
     from (select date_bin('1 day', l.bucket, 'epoch'::timestamptz) as day, l.updated_at
           from late_window l, window_state s
           where l.stale_references and l.bucket < s.refreshed_1d) as late
     group by day
     limit 1`,
  );
  const late = rows[0];
  if (!late) return 0;
  await refreshRollup(client, 'reference_1d', late.day, late.until);
  const cleared = await client.query(
    `update late_window set stale_references = false
     where stale_references and bucket >= $1 and bucket < $2 and updated_at <= $3`,
    [late.day, late.until, late.seen],
  );
  return cleared.rowCount ?? 0;
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

function bucketMs(bucket: string): number {
  return { '30 seconds': 30_000, '1 hour': 3_600_000, '1 day': 86_400_000 }[bucket]!;
}
