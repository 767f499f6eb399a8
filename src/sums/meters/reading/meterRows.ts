import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { instant, type SqlParameters } from '../../../ground/db/sqlParameters.ts';
import type { AsOf } from '../../asof/asOf.ts';
import { countedEvents } from '../../asof/countedEvents.ts';
import type { Level } from '../../rollups/segments.ts';
import { parametersInto, sqlOfSeries } from '../rules/sqlOfSeries.ts';
import type { MeterSegment } from './meterSegments.ts';
import type { SeriesState } from './seriesState.ts';

/** What a row may have besides its bucket and groups. All but the members add up. */
export type MeterColumn = keyof typeof RAW_COLUMNS;

/** How a single event looks as a row of a level, by expressions over what `RULES` makes of it. */
const RAW_COLUMNS = {
  events: '1::bigint',
  counted: '(value is not null)::int::bigint',
  sum: 'value',
  min: 'value',
  max: 'value',
  latest_at: 'case when value is not null then ts end',
  latest_id: 'case when value is not null then event_id end',
  latest: 'value',
  members: 'case when member is not null then array[member] end',
};
const RAW_DISTINCT = { ...RAW_COLUMNS, counted: '(member is not null)::int::bigint' };

const RELATION: Record<Level | 'parts', 'event' | 'meter_part' | 'meter_30s' | 'meter_1h' | 'meter_1d'> = {
  raw: 'event',
  parts: 'meter_part',
  '30s': 'meter_30s',
  '1h': 'meter_1h',
  '1d': 'meter_1d',
};

/** The 30-second window an event falls into. */
const RAW_BUCKET = `date_bin('30 seconds', ts, 'epoch'::timestamptz)`;

/** Whose rows are read, and by what they are told apart. */
export interface MeterSelection {
  columns: MeterColumn[];
  /** Whether rows have `customer_id`. */
  byCustomer: boolean;
  /** Whether rows have `moment`: the time of an event, or when what they add up begins. */
  byMoment?: boolean;
  /** Paths of the dimensions by which rows are told apart, and the names of their columns. */
  groups: { path: string; column: string }[];
  /** Null: all. */
  customers: string[] | null;
  /** Paths of dimensions, and the values that count; null among them: where there is none. */
  filters: { path: string; values: (string | null)[] }[];
}

/**
 * Rows of a meter for one tenant as an SQL `from` item named `meter`, with `bucket`, `customer_id` where asked for, the
 * columns of the groups and those of the selection. A level that is no longer kept that far back fails the statement
 * with TM005.
 *
 * @param segments from `planMeter` or `planMeterAsOf`, in the same snapshot.
 * @param asOf of the latter.
 */
export function meterRows(
  context: TenantContext,
  segments: MeterSegment[],
  selection: MeterSelection,
  parameters: SqlParameters,
  asOf?: AsOf,
): string {
  if (segments.length === 0) return nothing(selection);
  const tenant = parameters.add(context.tenantId);
  // Rows without a customer's id are sums of all customers, and nobody's.
  const customers =
    selection.customers === null ? null : parameters.add(selection.customers.filter((id) => id !== ''));
  const filters = selection.filters.map(({ path, values }) => ({
    path,
    some: parameters.add(values.filter((value) => value !== null)),
    none: values.includes(null),
  }));
  const { columns, byCustomer, byMoment = false, groups } = selection;
  /** @param dimension SQL for the value at a path. */
  const select = (
    segment: MeterSegment,
    from: string,
    measures: Record<string, string>,
    { bucket, moment }: { bucket: string; moment: string },
  ) => {
    const dimension = dimensionsOf(segment, selection);
    const list = [
      `${bucket} as bucket`,
      ...(byMoment ? [`${moment} as moment`] : []),
      ...(byCustomer ? ['customer_id'] : []),
      ...groups.map(({ path, column }) => `${dimension(path)} as ${column}`),
      ...columns.map((column) => `${measures[column] ?? column} as ${column}`),
    ];
    const conditions = filters.map(({ path, some, none }) => {
      const value = dimension(path);
      return ` and (${value} = any (${some})${none ? ` or ${value} is null` : ''})`;
    });
    return `select ${list.join(', ')} from ${from}${conditions.join('')}`;
  };
  const items = segments.map((segment) => {
    const { series, source } = segment;
    const time = source === 'raw' ? 'ts' : 'bucket';
    const within = `tenant_id = ${tenant} and ${time} >= ${instant(segment.from)} and ${time} < ${instant(segment.to)}`;
    const whose =
      customers !== null
        ? ` and customer_id = any (${customers})`
        : source === 'raw' || source === 'parts'
          ? ''
          : ` and customer_id ${byCustomer ? '<>' : '='} ''`;
    if (source !== 'raw') {
      const relation = `tenant_data.${RELATION[source]}`;
      return select(
        segment,
        `${relation} where series_id = ${series.id} and ${within}${whose}`,
        {},
        { bucket: 'bucket', moment: 'bucket' },
      );
    }
    const events = asOf
      ? countedEvents(asOf, tenant, segment, `${within}${whose}`)
      : `(select * from tenant_data.event where ${within}${whose})`;
    const measures = series.definition.distinct ? RAW_DISTINCT : RAW_COLUMNS;
    return select(segment, `${ruled(series, selection, events, parameters)} where true`, measures, {
      bucket: RAW_BUCKET,
      moment: 'ts',
    });
  });
  const width = 1 + (byMoment ? 1 : 0) + (byCustomer ? 1 : 0) + groups.length + columns.length;
  return `(${[...items, ...kept(segments, width)].join('\nunion all\n')}) as meter`;
}

/** The paths that a selection needs, each once. */
function pathsOf({ groups, filters }: MeterSelection): string[] {
  return [...new Set([...groups, ...filters].map(({ path }) => path))];
}

/** SQL for the value of a dimension in the rows of a segment; a series that does not have it has none. */
function dimensionsOf({ series, source }: MeterSegment, selection: MeterSelection): (path: string) => string {
  const paths = source === 'raw' ? pathsOf(selection) : series.definition.paths;
  return (path) => {
    const place = paths.indexOf(path);
    return place < 0 ? 'null::text' : `dims[${place + 1}]`;
  };
}

/**
 * Events that match, with what the rules make of them: `dims`, in the order of the paths that are needed, and the value.
 *
 * @param events an SQL `from` item without a name.
 */
function ruled(
  { definition }: SeriesState,
  selection: MeterSelection,
  events: string,
  parameters: SqlParameters,
): string {
  const paths = pathsOf(selection);
  const valued = selection.columns.some((column) => column !== 'events');
  const needed = { ...definition, paths, ...(!valued && { value: null, distinct: false }) };
  const rules = sqlOfSeries(needed, parametersInto(parameters));
  const list = [
    'e.ts',
    'e.event_id',
    'e.customer_id',
    `${rules.dims} as dims`,
    definition.distinct ? `${rules.member} as member` : `${rules.value} as value`,
  ];
  return `(select ${list.join(', ')} from ${events} as e ${rules.from}
      where ${rules.where}) as e`;
}

/** No rows, but an error where something does not reach back to where it is read from. Parts are younger than all else. */
function kept(segments: MeterSegment[], columns: number): string[] {
  const earliest = new Map<Level, number>();
  for (const { source, from } of segments) {
    if (source !== 'parts') earliest.set(source, Math.min(from, earliest.get(source) ?? from));
  }
  const nulls = Array.from({ length: columns }, () => 'null').join(', ');
  return [...earliest].map(
    ([level, from]) =>
      `select ${nulls} from tenant_data.require_kept('${RELATION[level]}', ${instant(from)})`,
  );
}

const TYPES: Record<MeterColumn, string> = {
  events: 'bigint',
  counted: 'bigint',
  sum: 'numeric',
  min: 'numeric',
  max: 'numeric',
  latest_at: 'timestamptz',
  latest_id: 'uuid',
  latest: 'numeric',
  members: 'uuid[]',
};

/** Where nothing is left to read, the SQL must still stand. */
function nothing({ byMoment, byCustomer, groups, columns }: MeterSelection): string {
  const list = [
    'null::timestamptz as bucket',
    ...(byMoment ? ['null::timestamptz as moment'] : []),
    ...(byCustomer ? ['null::text as customer_id'] : []),
    ...groups.map(({ column }) => `null::text as ${column}`),
    ...columns.map((column) => `null::${TYPES[column]} as ${column}`),
  ];
  return `(select ${list.join(', ')} where false) as meter`;
}
