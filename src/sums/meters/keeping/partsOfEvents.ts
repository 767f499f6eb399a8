import type { SeriesDefinition } from '../definition/meterDefinition.ts';
import { literals, sqlOfSeries } from '../rules/sqlOfSeries.ts';

/**
 * The statement that adds up events to parts of a series: rows like those of `meter_part`, one for each window, customer and
 * list of dimension values.
 *
 * @param source what `from` and `where` say of the events, which are `e`: those of the tenant.
 */
export function partsOfEvents(
  id: number,
  tenantId: string,
  rule: SeriesDefinition,
  source: { from: string; where: string },
): string {
  const sql = sqlOfSeries(rule, literals);
  const counted = `
    select e.ts, e.event_id, e.customer_id, ${sql.dims} as dims, ${sql.value} as value, ${sql.member} as member,
      ${sql.ignored} as ignored
    from ${source.from} ${sql.from}
    where ${source.where} and ${sql.where}
    offset 0`; // so that each is made once
  const parts = rule.distinct ? partsOfSets(counted) : partsOfNumbers(counted, valuesOf(rule));
  return `
    select ${id} as series_id, bucket, ${literals(tenantId, 'text')} as tenant_id, customer_id, dims,
      events, counted, sum, min, max, latest_at,
      substr(latest_key, 18, 32)::uuid as latest_id, substr(latest_key, 50)::numeric as latest,
      ignored_missing, ignored_null, ignored_type, ignored_range, members
    from (${parts}) as part`;
}

const BUCKET = `date_bin('30 seconds', ts, 'epoch'::timestamptz)`;
const COUNTS = `count(*) as events,
  count(*) filter (where ignored is null) as counted,
  count(*) filter (where ignored = 'missing') as ignored_missing,
  count(*) filter (where ignored = 'null') as ignored_null,
  count(*) filter (where ignored in ('not_a_number', 'not_a_scalar')) as ignored_type,
  count(*) filter (where ignored = 'out_of_range') as ignored_range`;
const NO_VALUES = `null::numeric as sum, null::numeric as min, null::numeric as max, null::timestamptz as latest_at,
  null::text as latest_key`;

type Values = 'none' | 'sums' | 'all';

/** What of the values is kept: of AI usage no more than what they add up to. */
function valuesOf({ kind, value }: SeriesDefinition): Values {
  if (kind === 'usage') return 'sums';
  return value === null ? 'none' : 'all';
}

const VALUES: Record<Values, string> = {
  none: NO_VALUES,
  sums: NO_VALUES.replace('null::numeric as sum', 'sum(value) as sum'),
  all: `sum(value) as sum, min(value) as min, max(value) as max,
       max(ts) filter (where value is not null) as latest_at, max(latest_key collate "C") as latest_key`,
};

function partsOfNumbers(counted: string, values: Values): string {
  return `
    select ${BUCKET} as bucket, customer_id, dims, ${COUNTS}, ${VALUES[values]}, null::uuid[] as members
    from (select *, ${values === 'all' ? LATEST_KEY : 'null::text'} as latest_key from (${counted}) as e offset 0) as e
    group by 1, 2, 3`;
}

/** By member first: each is then there once, without a sort. */
function partsOfSets(counted: string): string {
  const sum = (column: string) => `sum(${column})::bigint as ${column}`;
  const sums = ['events', 'counted', 'ignored_missing', 'ignored_null', 'ignored_type', 'ignored_range'].map(
    sum,
  );
  return `
    select bucket, customer_id, dims, ${sums.join(', ')}, ${NO_VALUES},
      array_agg(member) filter (where member is not null) as members
    from (select ${BUCKET} as bucket, customer_id, dims, member, ${COUNTS} from (${counted}) as e group by 1, 2, 3, 4) as e
    group by 1, 2, 3`;
}

/** As in add_to_meters: the value behind a text that is, by its bytes, in the order of time and id. */
const LATEST_KEY = `(ts >= '2000-01-01 00:00:00+00')::integer
             || encode(timestamptz_send(ts) || uuid_send(event_id), 'hex') || value`;
