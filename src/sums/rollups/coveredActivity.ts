import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { type ActivityRow, type ActivitySummary, summaryOf } from './activitySummary.ts';
import { utcBucketOf } from './granularity.ts';
import type { PreparedStatement } from './windowStatements.ts';

/** The windows that the activity tables have, [from, until) in ms. */
export interface Coverage {
  from: number;
  until: number;
}

/**
 * @param since the start (ms) of the first whole bucket that is asked for.
 * @throws TM005 where that is no longer kept.
 */
export async function readCoverage(
  db: Queryable,
  granularity: '1h' | '1d',
  since: number,
): Promise<Coverage> {
  const { rows } = await db.query<{ from: string; until: string }>({
    name: 'window coverage',
    text: `select extract(epoch from covered_from) * 1000 as from, extract(epoch from covered_until) * 1000 as until
           from tenant_data.window_coverage
           union all select null, null from tenant_data.require_kept($1, $2)`,
    values: [`usage_${granularity}`, new Date(since)],
  });
  return { from: Number(rows[0]!.from), until: Number(rows[0]!.until) };
}

/**
 * Activity from the activity tables. What they do not have is counted: windows that have changed since they were
 * covered, and those not covered yet.
 *
 * @param range in ms, from the start of a bucket; where it ends within one, all that is covered of that must lie in it.
 * @returns null when covering has passed the end of the range meanwhile.
 */
export async function coveredActivity(
  db: Queryable,
  context: TenantContext,
  granularity: '1h' | '1d',
  range: { from: number; to: number; partial: boolean },
  most: number,
): Promise<ActivitySummary[] | null> {
  const lastWindow = Math.floor(range.to / WINDOW_MS) * WINDOW_MS;
  const { rows } = await db.query<ActivityRow & { covered_until_ms: string }>({
    ...STATEMENTS[granularity],
    values: [context.tenantId, new Date(range.from), new Date(lastWindow), new Date(range.to), most],
  });
  if (range.partial && rows.length > 0 && Number(rows[0]!.covered_until_ms) > lastWindow) return null;
  return rows.map(summaryOf);
}

const STATEMENTS = { '1h': statement('1h'), '1d': statement('1d') };

/**
 * One statement: the tables, how far they go, and what they lack belong together. Prepared, as the
 * statements that read windows are. Parameters: tenant, from, the last window's start, to, limit.
 */
function statement(level: '1h' | '1d'): PreparedStatement {
  const at = utcBucketOf(level);
  const rolledUp = `
      select bucket, customer_id, event_type, calls from tenant_data.usage_30s u
      where tenant_id = $1 and bucket >= $2 and bucket < $3
        and not exists (select from stale s where s.bucket = u.bucket and s.customer_id = u.customer_id)`;
  return {
    name: `activity ${level}`,
    text: `
    with coverage as materialized (
      select covered_until from tenant_data.window_coverage
    ), lacking as materialized (
      select bucket, customer_id from tenant_data.activity_lacking
      where tenant_id = $1 and bucket >= $2 and bucket < $3 and bucket < (select covered_until from coverage)
    ), again as materialized (
      select distinct bucket from lacking
    ), stale as materialized (
      select bucket, customer_id from tenant_data.late_window
      where tenant_id = $1 and bucket >= $2 and bucket < $3 and stale
        and (bucket >= (select covered_until from coverage) or bucket in (select bucket from again))
    ), counted as materialized (
      ${rolledUp} and bucket >= (select covered_until from coverage)
      union all
      ${rolledUp} and bucket = any (array(select bucket from again))
      union all
      select s.bucket, s.customer_id, e.event_type, 1
      from stale s,
        lateral (
          select event_type from tenant_data.event
          where tenant_id = $1 and customer_id = s.customer_id
            and ts >= s.bucket and ts < s.bucket + interval '30 seconds' and ts >= $2 and ts < $4
          offset 0
        ) as e
      union all
      select $3, customer_id, event_type, 1 from tenant_data.event
      where tenant_id = $1 and ts >= $3 and ts < $4
    ), calls as (
      select at, event_type, sum(calls)::bigint as calls
      from (
        select bucket as at, event_type, calls from tenant_data.activity_calls
        where tenant_id = $1 and level = '${level}' and bucket >= $2 and bucket < $4
        union all
        select ${at}, event_type, -calls from tenant_data.activity_calls
        where tenant_id = $1 and level = '30s' and bucket >= $2 and bucket < $3
          and bucket = any (array(select bucket from again))
        union all
        select ${at}, event_type, calls from counted
      ) as parts
      group by at, event_type
      having sum(calls) <> 0
    ), active as materialized (
      select distinct ${at} as at, customer_id from counted c
      where bucket >= (select covered_until from coverage)
        or exists (select from lacking l where l.bucket = c.bucket and l.customer_id = c.customer_id)
    ), users as (
      select at, sum(users)::bigint as users
      from (
        select bucket as at, users from tenant_data.activity_users
        where tenant_id = $1 and level = '${level}' and bucket >= $2 and bucket < $4
        union all
        select at, count(*) - (
          select count(*) from tenant_data.activity_customer k
          where k.tenant_id = $1 and k.level = '${level}' and k.bucket = a.at
            and k.customer_id = any (array(select i.customer_id from active i where i.at = a.at)))
        from active a group by at
      ) as parts
      group by at
    )
    select extract(epoch from at) * 1000 as bucket_ms, users, by_type,
      extract(epoch from (select covered_until from coverage)) * 1000 as covered_until_ms
    from (select at, json_object_agg(event_type, calls) as by_type from calls group by at) as types
      join users using (at)
    order by at
    limit $5`,
  };
}
