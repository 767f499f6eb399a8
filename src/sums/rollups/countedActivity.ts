import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { SqlParameters } from '../../ground/db/sqlParameters.ts';
import { type ActivityRow, type ActivitySummary, summaryOf } from './activitySummary.ts';
import { utcBucketOf } from './granularity.ts';
import { findStale, usageRows } from './usageSource.ts';

/** Activity over [from, to) (ms), counted in the usage rollups: for parts of buckets, and for one customer. */
export async function countedActivity(
  db: Queryable,
  context: TenantContext,
  granularity: '1h' | '1d',
  range: { from: number; to: number },
  customerId: string | undefined,
  most: number,
): Promise<ActivitySummary[]> {
  const stale = await findStale(db, context, range, customerId);
  const parameters = new SqlParameters();
  const usage = usageRows(
    context,
    range,
    granularity,
    stale,
    ['customer_id', 'event_type', 'calls'],
    { customerId },
    parameters,
  );
  const { rows } = await db.query<ActivityRow>(
    `select extract(epoch from at) * 1000 as bucket_ms, users, by_type
     from (
       select at, max(users) filter (where event_type is null) as users,
         json_object_agg(event_type, calls) filter (where event_type is not null) as by_type
       from (
         select ${utcBucketOf(granularity)} as at, event_type, count(distinct customer_id) as users,
           sum(calls)::bigint as calls
         from ${usage}
         group by grouping sets ((1, event_type), (1))
       ) as types
       group by at
     ) as buckets
     order by at
     limit ${most}`,
    parameters.values,
  );
  return rows.map(summaryOf);
}
