import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Position } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../../ground/db/sqlParameters.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import type { UsageDimension } from '../../meters/definition/usageSeries.ts';
import { meterRows } from '../../meters/reading/meterRows.ts';
import { type MeterMoment, readUsageMoment } from '../../meters/reading/seriesState.ts';
import { unpackCounts } from '../../meters/rules/packCounts.ts';
import { bucketsOf } from '../../rollups/buckets.ts';
import { bucketEdges, bucketStart, GRANULARITY_MS, type Granularity } from '../../rollups/granularity.ts';
import type { CostGrouping, CostSeriesQuery } from './costQuery.ts';
import { planCosts } from './costSegments.ts';

/** Usage of one model of one provider in one bucket and group, while no price changed. */
export interface CostRow {
  /** The whole bucket, in ms. */
  bucketMs: number;
  bucketEndMs: number;
  /** In the order of `groupBy`; '' where there is none. */
  groups: string[];
  /** Since when prices are as they were then, in µs since the epoch. */
  pricesFromMicros: number;
  model: string | null;
  provider: string | null;
  calls: bigint;
  unknownCalls: bigint;
  /** Of each of `TOKEN_KINDS`. */
  tokens: bigint[];
}

const DIMENSION: Record<Exclude<CostGrouping, 'customer'>, UsageDimension> = {
  model: 'model',
  provider: 'provider',
  endpoint: 'apiEndpoint',
  eventType: 'eventType',
};

interface Row {
  bucket_ms: string;
  bucket_end_ms: string;
  epoch: number;
  model: string | null;
  provider: string | null;
  calls: string;
  counted: string;
  tokens: string | null;
  key: string[];
}

/** What a page's first step is of, at most, in ms and in buckets; later ones by how many groups there were. */
const FIRST_STEP_MS = 86_400_000;
const FIRST_STEP_BUCKETS = 120;

/**
 * The usage that costs are made of, in the order of bucket and groups, as `usageSeries` has them: of so many groups behind a
 * position, all that there is of each. It reads no more time than it takes to find them, a step of buckets after the other; `db` must
 * have one snapshot.
 *
 * @param changes of prices, in µs since the epoch, ascending.
 * @throws {TidemarkError} `range_too_large`.
 * @throws TM005 where what is needed is no longer kept.
 */
export async function costRows(
  db: Queryable,
  context: TenantContext,
  query: CostSeriesQuery,
  changes: readonly number[],
  { after, groups: most }: { after: Position | null; groups: number },
): Promise<CostRow[]> {
  const { granularity, offsets, groupBy } = query;
  const to = query.toMicros / 1_000;
  const start = after ? bucketStart(granularity, offsets, after[0] as number) : Number.NEGATIVE_INFINITY;
  const from = Math.max(query.fromMicros / 1_000, start);
  if (from >= to) return []; // a cursor may lie behind the end of the range
  const moment = await readUsageMoment(db, context);
  const edges = bucketEdges(granularity, offsets, Math.floor(from), Math.ceil(to));
  const found: CostRow[] = [];
  let groups = 0;
  let step = groupBy.length === 0 ? most : firstStep(granularity);
  for (let at = 0; at < edges.length - 1 && groups < most; ) {
    const end = Math.min(edges.length - 1, at + step);
    const range = { from: Math.max(from, edges[at]!), to: Math.min(to, edges[end]!) };
    const rows = await rowsBetween(db, context, query, moment, changes, range, {
      after: at === 0 ? after : null,
      groups: most - groups,
    });
    found.push(...rows);
    groups += new Set(rows.map((row) => [row.bucketMs, ...row.groups].join('\0'))).size;
    step = groups === 0 ? 2 * step : Math.max(step, Math.ceil(((most - groups) * end) / groups));
    at = end;
  }
  return found;
}

function firstStep(granularity: Granularity): number {
  return Math.min(FIRST_STEP_BUCKETS, Math.ceil(FIRST_STEP_MS / GRANULARITY_MS[granularity]));
}

/** The same of what lies in a range, in ms to the microsecond, which begins and ends with buckets or with what is asked for. */
async function rowsBetween(
  db: Queryable,
  context: TenantContext,
  query: CostSeriesQuery,
  moment: MeterMoment,
  changes: readonly number[],
  { from, to }: { from: number; to: number },
  { after, groups: most }: { after: Position | null; groups: number },
): Promise<CostRow[]> {
  const { granularity, offsets, groupBy } = query;
  const within = changes.filter((micros) => micros > from * 1_000 && micros < to * 1_000);
  const parameters = new SqlParameters();
  const buckets = bucketsOf(granularity, offsets, { from, to }, parameters);
  const source = meterRows(
    context,
    planCosts(moment, { from, to }, buckets.coarsest, within),
    {
      columns: ['events', 'counted', 'sum'],
      byCustomer: groupBy.includes('customer'),
      byMoment: true,
      groups: [
        { path: 'model', column: 'model' },
        { path: 'provider', column: 'provider' },
        ...(groupBy.includes('endpoint') ? [{ path: 'apiEndpoint', column: 'endpoint' }] : []),
        ...(groupBy.includes('eventType') ? [{ path: 'eventType', column: 'event_type' }] : []),
      ],
      customers: query.customerId === undefined ? null : [query.customerId],
      filters: Object.entries(DIMENSION).flatMap(([name, path]) => {
        const value = query[name as keyof typeof DIMENSION];
        return value === undefined ? [] : [{ path, values: [value] }];
      }),
    },
    parameters,
  );
  const moments = `{${within.map(formatTimestamp).join()}}`;
  const epoch = within.length === 0 ? '0' : `width_bucket(moment, ${parameters.add(moments)}::timestamptz[])`;
  const keys = groupBy.map((group) => `coalesce(${COLUMN[group]}, '') collate "C"`);
  const order = ['at', ...keys.map((_, i) => `k${i}`)];
  const skip = after
    ? `where (${order.join(', ')}) > (${[instant(after[0] as number), ...after.slice(1).map((part) => `${parameters.add(part)}::text`)].join(', ')})`
    : '';
  const columns = [`${buckets.at} as at`, ...keys.map((key, i) => `${key} as k${i}`), `${epoch} as epoch`];
  const { rows } = await db.query<Row>({
    text: `select extract(epoch from at) * 1000 as bucket_ms, extract(epoch from ${buckets.end}) * 1000 as bucket_end_ms,
         array[${keys.map((_, i) => `k${i}`).join(', ')}]::text[] as key, epoch, model, provider, calls, counted, tokens::text as tokens
       from (
         select sums.*, dense_rank() over (order by ${order.join(', ')}) as place
         from (
           select ${columns.join(', ')}, model, provider, sum(events) as calls, sum(counted) as counted, sum(sum) as tokens
           from ${source}
           group by ${[...columns, 'model', 'provider'].map((_, i) => i + 1).join(', ')}
         ) as sums
         ${skip}
       ) as placed
       where place <= ${most}
       order by ${order.join(', ')}`,
    values: parameters.values,
  });
  return rows.map((row) => ({
    bucketMs: Number(row.bucket_ms),
    bucketEndMs: Number(row.bucket_end_ms),
    groups: row.key,
    pricesFromMicros: row.epoch === 0 ? Math.round(from * 1_000) : within[row.epoch - 1]!,
    model: row.model,
    provider: row.provider,
    calls: BigInt(row.calls),
    unknownCalls: BigInt(row.calls) - BigInt(row.counted),
    tokens: unpackCounts(row.tokens ?? ''),
  }));
}

const COLUMN: Record<CostGrouping, string> = {
  customer: 'customer_id',
  model: 'model',
  provider: 'provider',
  endpoint: 'endpoint',
  eventType: 'event_type',
};
