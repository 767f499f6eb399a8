import type { Queryable } from '../db/connections.ts';
import { numberOf } from '../db/numbers.ts';
import { decodeCursor, type List, type Page, pageOf } from '../db/paging.ts';
import { instant, SqlParameters } from '../db/sqlParameters.ts';
import type { TenantContext } from '../tenancy/tenantContext.ts';
import { bucketOf } from './granularity.ts';
import { findStale, usageRows } from './usageSource.ts';

export interface ActivityQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  customerId?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

/** Who did what in one hour or day of UTC. */
export interface ActivitySummary {
  bucket: string;
  /** Distinct customers. */
  uniqueUsers: number;
  totalClicks: number;
  totalImpressions: number;
  totalEvents: number;
  byType: Record<string, number>;
}

/**
 * Activity per hour or day, ascending. Buckets without events are left out.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function activitySummaries(
  db: Queryable,
  context: TenantContext,
  granularity: '1h' | '1d',
  query: ActivityQuery,
): Promise<Page<ActivitySummary>> {
  const list: List = { name: `summaries ${granularity}`, key: ['ms'] };
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, list);
  const from = after ? Math.max(query.from, after[0] as number) : query.from;
  const range = { from, to: query.to };
  const { customerId } = query;
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
  const { rows } = await db.query<{ bucket_ms: string; users: string; by_type: Record<string, number> }>(
    `select extract(epoch from at) * 1000 as bucket_ms, users, by_type
     from (
       select at, max(users) filter (where event_type is null) as users,
         json_object_agg(event_type, calls) filter (where event_type is not null) as by_type
       from (
         select ${bucketOf(granularity, "'UTC'")} as at, event_type, count(distinct customer_id) as users,
           sum(calls)::bigint as calls
         from ${usage}
         group by grouping sets ((1, event_type), (1))
       ) as types
       group by at
     ) as buckets
     ${after ? `where at > ${instant(after[0] as number)}` : ''}
     order by at
     limit ${query.limit + 1}`,
    parameters.values,
  );
  const summaries = rows.map((row) => {
    const byType = row.by_type;
    return {
      bucket: new Date(Number(row.bucket_ms)).toISOString(),
      uniqueUsers: numberOf(row.users),
      totalClicks: byType.click ?? 0,
      totalImpressions: byType.impression ?? 0,
      totalEvents: Object.values(byType).reduce((sum, calls) => sum + calls, 0),
      byType,
    };
  });
  return pageOf(summaries, query.limit, list, (summary) => [Date.parse(summary.bucket)]);
}
