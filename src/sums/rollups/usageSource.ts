import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, type SqlParameters } from '../../ground/db/sqlParameters.ts';
import { WINDOW_MS } from '../../model/window.ts';
import type { AsOf } from '../asof/asOf.ts';
import { planAsOf } from '../asof/changedWindows.ts';
import { countedEvents } from '../asof/countedEvents.ts';
import { LATENCY_BOUNDS_MS } from './latencyHistogram.ts';
import { type Level, planSegments, type Segment, type StaleWindows } from './segments.ts';

/** Filters every summary understands. */
export interface UsageFilters {
  customerId?: string | undefined;
  endpoint?: string | undefined;
  model?: string | undefined;
  eventType?: string | undefined;
}

const RELATION: Record<Level, 'event' | 'usage_30s' | 'usage_1h' | 'usage_1d'> = {
  raw: 'event',
  '30s': 'usage_30s',
  '1h': 'usage_1h',
  '1d': 'usage_1d',
};

const FILTER_COLUMNS: Record<keyof UsageFilters, string> = {
  customerId: 'customer_id',
  endpoint: 'endpoint',
  model: 'model',
  eventType: 'event_type',
};

/** Stale windows that are told apart; of more only the first and the last are asked for. */
export const MAX_STALE = 10_000;

/** How a single event looks as a row of a usage rollup: measure → expression over `event`. */
export const RAW_MEASURES: Record<string, string> = {
  calls: '1',
  tokens: 'coalesce(tokens, 0)',
  input_tokens: 'coalesce(input_tokens, 0)',
  output_tokens: 'coalesce(output_tokens, 0)',
  signed_value: `case event_type when 'negative' then -coalesce(value, 0) else coalesce(value, 0) end`,
  latency_sum: 'coalesce(latency_ms, 0)',
  latency_count: '(latency_ms is not null)::int',
  latency_min: 'latency_ms',
  latency_max: 'latency_ms',
  latency_sketch: 'tenant_data.latency_slot(latency_ms)',
  ...Object.fromEntries(
    LATENCY_BOUNDS_MS.map((bound) => [`latency_le_${bound}`, `coalesce((latency_ms <= ${bound})::int, 0)`]),
  ),
};

/** The 30-second window an event falls into. */
const RAW_BUCKET = `date_bin('30 seconds', ts, 'epoch'::timestamptz)`;

/**
 * Rows of the usage rollups for one tenant and time range as an SQL `from` item named `usage`: each stretch of time
 * from the coarsest level that can serve it, the rest from finer ones, the last from the events themselves. A level that
 * is no longer kept that far back fails the statement with TM005, and never lends it less than there was.
 *
 * @param columns dimensions and measures wanted besides `bucket`.
 * @param stale from `findStale`, in the same snapshot.
 */
export function usageRows(
  context: TenantContext,
  range: { from: number; to: number },
  coarsest: Level,
  stale: StaleWindows,
  columns: string[],
  filters: UsageFilters,
  parameters: SqlParameters,
): string {
  const planned = planSegments(range.from, range.to, coarsest, stale);
  return rowsOf(context, range, planned, columns, filters, parameters);
}

/** The same as of a moment, in whose snapshot it is read. */
export async function usageRowsAsOf(
  db: Queryable,
  asOf: AsOf,
  context: TenantContext,
  range: { from: number; to: number },
  coarsest: Level,
  columns: string[],
  filters: UsageFilters,
  parameters: SqlParameters,
): Promise<string> {
  const customers = filters.customerId === undefined ? null : [filters.customerId];
  const planned = await planAsOf(db, context, asOf, range, coarsest, customers);
  return rowsOf(context, range, planned, columns, filters, parameters, asOf);
}

/** SQL conditions that filters put on events and on rollups, each with `and` before it. */
export function filterConditions(filters: UsageFilters, parameters: SqlParameters): string {
  return Object.entries(filters)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` and ${FILTER_COLUMNS[name as keyof UsageFilters]} = ${parameters.add(value)}`)
    .join('');
}

function rowsOf(
  context: TenantContext,
  range: { from: number; to: number },
  planned: Segment[],
  columns: string[],
  filters: UsageFilters,
  parameters: SqlParameters,
  asOf?: AsOf,
): string {
  const tenant = parameters.add(context.tenantId);
  const conditions = filterConditions(filters, parameters);
  const select = ({ level, from, to }: Segment) => {
    const time = level === 'raw' ? 'ts' : 'bucket';
    const list =
      level === 'raw'
        ? [
            `${RAW_BUCKET} as bucket`,
            ...columns.map((column) => `${RAW_MEASURES[column] ?? column} as ${column}`),
          ]
        : ['bucket', ...columns];
    const within = `tenant_id = ${tenant} and ${time} >= ${instant(from)} and ${time} < ${instant(to)}${conditions}`;
    const rows =
      asOf && level === 'raw'
        ? `${countedEvents(asOf, tenant, { from, to }, within)} as counted`
        : `tenant_data.${RELATION[level]} where ${within}`;
    return `select ${list.join(', ')} from ${rows}`;
  };
  // A cursor may lie behind the end of the range: then nothing is left to read, but the SQL must still stand.
  const segments = planned.length > 0 ? planned : [{ level: 'raw' as const, ...range }];
  return `(${[...segments.map(select), ...kept(segments, columns.length + 1)].join('\nunion all\n')}) as usage`;
}

/** No rows, but an error where a level does not reach back to where it is read from. */
function kept(segments: Segment[], columns: number): string[] {
  const earliest = new Map<Level, number>();
  for (const { level, from } of segments) earliest.set(level, Math.min(from, earliest.get(level) ?? from));
  const nulls = Array.from({ length: columns }, () => 'null').join(', ');
  return [...earliest].map(
    ([level, from]) =>
      `select ${nulls} from tenant_data.require_kept('${RELATION[level]}', ${instant(from)})`,
  );
}

/**
 * The windows in the range that some rollup lacks a late event of. Costs no more memory for an import that has made a
 * year of them stale: what lies between the first and the last is then read from the events.
 */
export async function findStale(
  db: Queryable,
  context: TenantContext,
  range: { from: number; to: number },
  customerId?: string,
): Promise<StaleWindows> {
  const stale = `from tenant_data.late_window
     where tenant_id = $1 and bucket > $2 and bucket < $3 and stale
       and ($4::text is null or customer_id = $4)`;
  const values = [context.tenantId, new Date(range.from - WINDOW_MS), new Date(range.to), customerId ?? null];
  const { rows } = await db.query<{ bucket: string }>(
    `select distinct extract(epoch from bucket) * 1000 as bucket ${stale} limit ${MAX_STALE + 1}`,
    values,
  );
  if (rows.length <= MAX_STALE) return rows.map((row) => Number(row.bucket));
  const stretch = await db.query<{ earliest: string | null; latest: string | null }>(
    `select extract(epoch from min(bucket)) * 1000 as earliest, extract(epoch from max(bucket)) * 1000 as latest
     ${stale}`,
    values,
  );
  const { earliest, latest } = stretch.rows[0]!;
  return earliest === null ? [] : { earliest: Number(earliest), latest: Number(latest) };
}
