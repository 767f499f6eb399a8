import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decimalOf, numberOf } from '../../ground/db/numbers.ts';
import { decodeCursor, type List, type Page, type Position, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { lastStatement } from '../../ground/db/tenantReads.ts';
import type { ZoneOffset } from '../../ground/zones/zoneOffset.ts';
import type { AsOf } from '../asof/asOf.ts';
import { bucketsOf } from './buckets.ts';
import { bucketStart, type Granularity } from './granularity.ts';
import {
  LATENCY_MEASURES,
  LATENCY_SUMS,
  type LatencyRow,
  type LatencySummary,
  latencySummary,
} from './latencySummary.ts';
import { findStale, type UsageFilters, usageRows, usageRowsAsOf } from './usageSource.ts';

export const GROUPINGS = ['customer', 'endpoint', 'model', 'eventType'] as const;
export type Grouping = (typeof GROUPINGS)[number];

const GROUP_COLUMN: Record<Grouping, string> = {
  customer: 'customer_id',
  endpoint: 'endpoint',
  model: 'model',
  eventType: 'event_type',
};

/** What a series is of, all of it. */
export interface SeriesQuery extends UsageFilters {
  /** [from, to) in ms since the epoch, to the millisecond: the first and the last bucket may be partial. */
  from: number;
  to: number;
  granularity: Granularity;
  /** Of the time zone, as the database has it, around the range. */
  offsets: readonly ZoneOffset[];
  groupBy: Grouping[];
  /** Left out: as it is now. */
  asOf?: AsOf | undefined;
}

export interface UsageQuery extends SeriesQuery {
  cursor?: string | undefined;
  limit: number;
}

/** One bucket of the series, or one group of one bucket. Dimensions that were not grouped by are left out. */
export interface UsagePoint {
  /** Of the whole bucket, as its end, also where the range has only a part of it. */
  bucket: string;
  bucketEnd: string;
  customerId?: string | null;
  endpoint?: string | null;
  model?: string | null;
  eventType?: string | null;
  calls: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  /** Decimal string: of events of type `negative` less than nothing, as totals of records have it. */
  value: string;
  latency: LatencySummary;
}

/** The same with sums as the database has them, in decimal digits: however large, none is rounded to a double. */
export type ExactUsagePoint = Omit<UsagePoint, ExactSum> & Record<ExactSum, string>;
type ExactSum = 'calls' | 'tokens' | 'inputTokens' | 'outputTokens';

/** The field of a point that holds what was grouped by. */
export const GROUP_FIELD: Record<Grouping, 'customerId' | 'endpoint' | 'model' | 'eventType'> = {
  customer: 'customerId',
  endpoint: 'endpoint',
  model: 'model',
  eventType: 'eventType',
};

const SUMS = ['calls', 'tokens', 'input_tokens', 'output_tokens', 'signed_value'];

export interface SeriesRow extends LatencyRow {
  bucket_ms: string;
  bucket_end_ms: string;
  calls: string;
  tokens: string;
  input_tokens: string;
  output_tokens: string;
  signed_value: string;
}

/**
 * Usage over time, ordered by bucket and group. Buckets without events are left out.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function usageSeries(
  db: Queryable,
  context: TenantContext,
  query: UsageQuery,
): Promise<Page<UsagePoint>> {
  const { groupBy } = query;
  const list = usageList(query);
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, list);
  const statement = await seriesStatement(db, context, query, { after, limit: query.limit + 1 });
  const { rows } = await db.query<SeriesRow>(lastStatement(statement));
  const points = rows.map((row) => toPoint(row, groupBy));
  return pageOf(points, query.limit, list, (point) => [
    Date.parse(point.bucket),
    ...groupBy.map((group) => point[GROUP_FIELD[group]] ?? ''),
  ]);
}

/** What cursors of a series belong to: their positions are the start of a bucket (ms), and a text for each group, '' for none. */
export function usageList({ granularity, groupBy }: Pick<UsageQuery, 'granularity' | 'groupBy'>): List {
  return {
    name: ['usage', granularity, ...groupBy].join(' '),
    key: ['ms', ...groupBy.map(() => 'text' as const)],
  };
}

/**
 * The statement that reads a series, or a page of it. Which windows are stale is read here, before, and in the same snapshot.
 *
 * @param page rows behind a position, so many at most; left out: all.
 */
export async function seriesStatement(
  db: Queryable,
  context: TenantContext,
  query: SeriesQuery,
  page: { after: Position | null; limit: number } | null = null,
): Promise<{ text: string; values: unknown[] }> {
  const { granularity, offsets, groupBy, to, asOf } = query;
  const after = page?.after ?? null;
  // From the start of the bucket where the page before ended: the rest of that bucket's groups are whole.
  const from = after
    ? Math.max(query.from, bucketStart(granularity, offsets, after[0] as number))
    : query.from;
  const range = { from, to };

  const parameters = new SqlParameters();
  const { customerId, endpoint, model, eventType } = query;
  // A cursor may lie behind the end of the range.
  const buckets = bucketsOf(granularity, offsets, { from: Math.min(from, to - 1), to }, parameters);
  const dimensions = groupBy.map((group) => GROUP_COLUMN[group]);
  const columns = [...dimensions, ...SUMS, ...LATENCY_MEASURES];
  const filters = { customerId, endpoint, model, eventType };
  const { coarsest } = buckets;
  const usage = asOf
    ? await usageRowsAsOf(db, asOf, context, range, coarsest, columns, filters, parameters)
    : usageRows(
        context,
        range,
        coarsest,
        await findStale(db, context, range, customerId),
        columns,
        filters,
        parameters,
      );
  // An absent endpoint or model sorts as the empty text, which no event can carry.
  const groups = dimensions.map((column) => `coalesce(${column}, '') collate "C" as ${column}`);
  const key = ['at', ...dimensions];
  const skip = after
    ? `where (${key.join(', ')}) > (${[instant(after[0] as number), ...after.slice(1).map((part) => parameters.add(part))].join(', ')})`
    : '';
  const text = `select extract(epoch from at) * 1000 as bucket_ms,
       extract(epoch from ${buckets.end}) * 1000 as bucket_end_ms, series.*
     from (
       select ${[`${buckets.at} as at`, ...groups].join(', ')},
         ${[...SUMS.map((column) => `sum(${column}) as ${column}`), ...LATENCY_SUMS].join(', ')}
       from ${usage}
       group by ${key.map((_, i) => i + 1).join(', ')}
     ) as series
     ${skip}
     order by ${key.join(', ')}
     ${page ? `limit ${page.limit}` : ''}`;
  return { text, values: parameters.values };
}

/** @param row of the statement for the same groups. */
export function toExactPoint(row: SeriesRow, groupBy: Grouping[]): ExactUsagePoint {
  return {
    ...toPoint(row, groupBy),
    calls: String(row.calls),
    tokens: String(row.tokens),
    inputTokens: String(row.input_tokens),
    outputTokens: String(row.output_tokens),
  };
}

function toPoint(row: SeriesRow, groupBy: Grouping[]): UsagePoint {
  return {
    bucket: new Date(Number(row.bucket_ms)).toISOString(),
    bucketEnd: new Date(Number(row.bucket_end_ms)).toISOString(),
    ...Object.fromEntries(groupBy.map((group) => [GROUP_FIELD[group], row[GROUP_COLUMN[group]] || null])),
    calls: numberOf(row.calls),
    tokens: numberOf(row.tokens),
    inputTokens: numberOf(row.input_tokens),
    outputTokens: numberOf(row.output_tokens),
    value: decimalOf(row.signed_value),
    latency: latencySummary(row),
  };
}
