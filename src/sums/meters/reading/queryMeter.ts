import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { numberOf } from '../../../ground/db/numbers.ts';
import { decodeCursor, type List, type Page, type Position, pageOf } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../../ground/db/sqlParameters.ts';
import { lastStatement } from '../../../ground/db/tenantReads.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { planAsOf } from '../../asof/changedWindows.ts';
import { type Buckets, bucketsOf } from '../../rollups/buckets.ts';
import { bucketStart } from '../../rollups/granularity.ts';
import type { Meter } from '../catalog/meter.ts';
import type { Aggregation, MeterDefinition } from '../definition/meterDefinition.ts';
import { normalPath } from '../definition/paths.ts';
import { lateRevisions } from './lateRevisions.ts';
import { CUSTOMER, type MeterPoint, type MeterQuery } from './meterQuery.ts';
import { type MeterColumn, meterRows } from './meterRows.ts';
import { planMeter, planMeterAsOf } from './meterSegments.ts';
import { type QueryMoment, readMeterMoment } from './seriesState.ts';

/** What each aggregation needs of the rows besides `events`, how its value comes of them, and how many had one. */
const AGGREGATES: Record<Aggregation, { columns: MeterColumn[]; value: string; counted: string }> = {
  count: { columns: [], value: 'sum(events)', counted: 'sum(events)' },
  sum: { columns: ['counted', 'sum'], value: 'sum(sum)', counted: 'sum(counted)' },
  avg: {
    columns: ['counted', 'sum'],
    // To 40 digits first: the quotient is then rounded once, half away from zero, since none comes closer to a half.
    value: 'round(round(sum(sum), 40) / nullif(sum(counted), 0), 18)',
    counted: 'sum(counted)',
  },
  min: { columns: ['counted', 'min'], value: 'min(min)', counted: 'sum(counted)' },
  max: { columns: ['counted', 'max'], value: 'max(max)', counted: 'sum(counted)' },
  latest: {
    columns: ['counted', 'latest_at', 'latest_id', 'latest'],
    value:
      '(array_agg(latest order by latest_at desc, latest_id desc) filter (where latest_at is not null))[1]',
    counted: 'sum(counted)',
  },
  uniqueCount: { columns: ['counted', 'members'], value: '', counted: 'sum(counted)' },
};

interface Row {
  at_micros: string;
  end_micros: string;
  customer_id?: string;
  value: string | null;
  events: string;
  counted: string;
  open: boolean;
  revision: string;
  key: string[];
  [group: `g${number}`]: string | null;
}

/** Characters of a group's value that rows are in order of; of a longer one the digest of all of it decides. */
const KEY_LENGTH = 128;

/**
 * The numbers of a meter over time and by group, in the order of window and group. Windows without events that match
 * are left out. Everything in it is of one moment, whatever is being written, folded or filled: `db` must have one
 * snapshot.
 *
 * @throws {TidemarkError} `cursor_invalid`; `not_found` where its series is gone.
 * @throws TM005 where what is needed is no longer kept.
 */
export async function queryMeter(
  db: Queryable,
  context: TenantContext,
  meter: Pick<Meter, 'seriesId' | 'definition'>,
  query: MeterQuery,
): Promise<Page<MeterPoint>> {
  const { granularity, groupBy } = query;
  const list: List = {
    name: ['meter', meter.definition.aggregation, granularity ?? 'range', ...groupBy].join(' '),
    key: ['micros', ...groupBy.map(() => 'text' as const)],
  };
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, list);
  const statement = await meterStatement(db, context, meter, query, after);
  const { rows } = await db.query<Row>(lastStatement(statement));
  const page = pageOf(rows, query.limit, list, (row) => [Number(row.at_micros), ...row.key]);
  return { data: page.data.map((row) => toPoint(row, groupBy)), nextCursor: page.nextCursor };
}

async function meterStatement(
  db: Queryable,
  context: TenantContext,
  meter: Pick<Meter, 'seriesId' | 'definition'>,
  query: MeterQuery,
  after: Position | null,
): Promise<{ text: string; values: unknown[] }> {
  const range = rangeOf(query, after);
  const parameters = new SqlParameters();
  const { found, series, group, buckets, moment } = await meterSums(
    db,
    context,
    meter,
    query,
    range,
    parameters,
  );
  const byCustomer = query.groupBy.includes(CUSTOMER);
  const names = query.groupBy.filter((name) => name !== CUSTOMER);
  const { asOf } = query;
  const keys = query.groupBy.map((name) =>
    name === CUSTOMER ? keyOf('customer_id') : keyOf(`g${names.indexOf(name)}`),
  );
  const position = ['at', ...keys].map((key) => (key === 'at' ? key : `(${key})`));
  const skip = after
    ? `where (${position.join(', ')}) > (${[momentOf(after[0] as number), ...after.slice(1).map((part) => `${parameters.add(part)}::text collate "C"`)].join(', ')})`
    : '';
  const revisions = lateRevisions({
    tenant: parameters.add(context.tenantId),
    customers: query.customers && parameters.add(query.customers),
    byCustomer,
    buckets,
    range,
    summedFrom: moment.revisionsSummedFrom,
    asOf,
  });
  const closedUntil = asOf
    ? instant(asOf.closedUntil)
    : '(select closed_until from tenant_data.window_state)';
  const late = byCustomer ? 'at, customer_id' : 'at';
  const text = `with ${found && `${found}, `}page as materialized (
       select series.*, ${buckets.end} as at_end, array[${keys.join(', ')}]::text[] as key
       from (${series}) as series
       ${skip}
       order by ${position.join(', ')}
       limit ${query.limit + 1}
     ), late as materialized (
       ${revisions}
     )
     select (extract(epoch from at) * 1000000)::bigint as at_micros,
       (extract(epoch from at_end) * 1000000)::bigint as end_micros, ${group.map((column) => `${column}, `).join('')}
       trim_scale(value)::text as value, events, counted, key,
       least(at_end, ${instant(range.to)}) > ${closedUntil} as open,
       coalesce(revision, 0) as revision
     from page left join late using (${late})
     order by ${['at', ...keys.map((_, i) => `key[${i + 1}] collate "C"`)].join(', ')}`;
  return { text, values: parameters.values };
}

/**
 * What the numbers of a meter are read by: `series` is a query of a row for each window (`at`) and group, with `events`,
 * `counted` and `value`; `found`, where it is not empty, the `with` query that it reads. Both go with the parameters.
 *
 * @param range in ms since the epoch, to the microsecond.
 * @throws {TidemarkError} `not_found` where its series is gone.
 */
export async function meterSums(
  db: Queryable,
  context: TenantContext,
  { seriesId, definition }: Pick<Meter, 'seriesId' | 'definition'>,
  query: Pick<MeterQuery, 'granularity' | 'offsets' | 'groupBy' | 'customers' | 'filters' | 'asOf'>,
  range: { from: number; to: number },
  parameters: SqlParameters,
): Promise<{ found: string; series: string; group: string[]; buckets: Buckets; moment: QueryMoment }> {
  const moment = await readMeterMoment(db, context, seriesId);
  const buckets = bucketsFor(query, range, parameters);
  const byCustomer = query.groupBy.includes(CUSTOMER);
  const names = query.groupBy.filter((name) => name !== CUSTOMER);
  const groups = names.map((name, i) => ({ path: pathOf(definition, name), column: `g${i}` }));
  const aggregate = AGGREGATES[definition.aggregation];
  const { asOf } = query;
  const { coarsest } = buckets;
  const source = meterRows(
    context,
    asOf
      ? planMeterAsOf(moment, await planAsOf(db, context, asOf, range, '30s', query.customers), coarsest)
      : planMeter(moment, range, coarsest),
    {
      columns: ['events', ...aggregate.columns],
      byCustomer,
      groups,
      customers: query.customers,
      filters: Object.entries(query.filters).map(([name, values]) => ({
        path: pathOf(definition, name),
        values,
      })),
    },
    parameters,
    asOf,
  );
  const group = [...(byCustomer ? ['customer_id'] : []), ...groups.map(({ column }) => column)];
  const windows = [`${buckets.at} as at`, ...group].join(', ');
  if (definition.aggregation === 'uniqueCount') {
    const found = `found as materialized (
             select rows.*, count(*) over (partition by ${['at', ...group].join(', ')}) = 1 as alone
             from (select ${windows}, events, counted, members from ${source}) as rows
           )`;
    return { found, series: uniques(group), group, buckets, moment };
  }
  const series = `select ${windows}, sum(events) as events, ${aggregate.counted} as counted, ${aggregate.value} as value
           from ${source}
           group by ${places(group)}`;
  return { found: '', series, group, buckets, moment };
}

/**
 * Distinct members of each group, over all that its rows hold: levels, parts and events have them each for itself. Of a row
 * that is alone, they are as many as it has: no row has one twice.
 */
function uniques(group: string[]): string {
  const own = ['at', ...group].join(', ');
  const same = group.map((column) => ` and sums.${column} is not distinct from members.${column}`).join('');
  return `select ${['at', ...group].map((column) => `sums.${column}`).join(', ')}, events, counted,
         coalesce(of_one, members.value, 0) as value
       from (
         select ${own}, sum(events) as events, sum(counted) as counted,
           sum(cardinality(members)) filter (where alone) as of_one
         from found group by ${places(group)}
       ) as sums left join (
         select ${own}, count(*) as value
         from (
           select distinct ${own}, member from found, unnest(members) as member where not alone
         ) as one_each
         group by ${places(group)}
       ) as members on sums.at = members.at${same}`;
}

/** For `group by`: the window and so many groups, by their place in the list. */
function places(group: string[]): string {
  return ['at', ...group].map((_, i) => i + 1).join(', ');
}

/** What rows are in order of, and a cursor holds of a group. No value comes first; a text of any length has room. */
function keyOf(column: string): string {
  return `coalesce('=' || case when length(${column}) <= ${KEY_LENGTH} then ${column}
    else left(${column}, ${KEY_LENGTH}) || md5(${column}) end, '') collate "C"`;
}

/** From the start of the window where the page before ended: the rest of that window's groups are whole. */
function rangeOf({ fromMicros, toMicros, granularity, offsets }: MeterQuery, after: Position | null) {
  const from = fromMicros / 1_000;
  const to = toMicros / 1_000;
  if (after === null || granularity === null) return { from, to };
  return { from: Math.max(from, bucketStart(granularity, offsets, (after[0] as number) / 1_000)), to };
}

function bucketsFor(
  { granularity, offsets }: Pick<MeterQuery, 'granularity' | 'offsets'>,
  { from, to }: { from: number; to: number },
  parameters: SqlParameters,
): Buckets {
  if (granularity === null) return { coarsest: '1d', at: instant(from), end: instant(to) };
  // A cursor may lie behind the end of the range.
  return bucketsOf(granularity, offsets, { from: Math.min(from, to - 0.001), to }, parameters);
}

/** @throws {Error} where the meter has no such dimension: whoever asks has looked. */
function pathOf({ dimensions }: MeterDefinition, name: string): string {
  const path = Object.hasOwn(dimensions, name) ? dimensions[name] : undefined;
  if (path === undefined) throw new Error(`there is no dimension ${name}`);
  return normalPath(path);
}

function momentOf(micros: number): string {
  return `'${formatTimestamp(micros)}'::timestamptz`;
}

function toPoint(row: Row, groupBy: string[]): MeterPoint {
  const names = groupBy.filter((name) => name !== CUSTOMER);
  const revision = numberOf(row.revision);
  const ignored = BigInt(row.events) - BigInt(row.counted);
  return {
    windowStart: formatTimestamp(Number(row.at_micros)),
    windowEnd: formatTimestamp(Number(row.end_micros)),
    ...(groupBy.includes(CUSTOMER) && { customerId: row.customer_id! }),
    ...(names.length > 0 && {
      dimensions: Object.fromEntries(names.map((name, i) => [name, row[`g${i}`] ?? null])),
    }),
    value: row.value,
    events: row.events,
    counted: row.counted,
    ignored: ignored.toString(),
    state: row.open ? 'open' : revision > 0 ? 'revised' : 'closed',
    revision,
  };
}
