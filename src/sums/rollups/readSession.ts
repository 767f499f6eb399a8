import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decimalOf, numberOf } from '../../ground/db/numbers.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { lastStatement } from '../../ground/db/tenantReads.ts';
import { TidemarkError } from '../../model/errors.ts';
import { formatTimestamp } from '../../model/timestamp.ts';

/** Customers listed; a session of more than these tells how many there are. */
const MAX_CUSTOMERS = 100;

export interface SessionSums {
  events: number;
  /** Decimal string: of events of type `negative` less than nothing. */
  value: string;
  tokens: number;
}

/** Everything that carried one reference. */
export interface Session extends SessionSums {
  id: string;
  first: string;
  last: string;
  /** From the first event to the last, in ms. */
  durationMs: number;
  byType: Record<string, SessionSums>;
  uniqueCustomers: number;
  /** At most 100, in order. */
  customers: string[];
}

interface Row {
  /** Null: over all types. */
  event_type: string | null;
  events: string;
  value: string;
  tokens: string;
  first_micros: string;
  last_micros: string;
  unique_customers: string;
  customers: string[];
}

/**
 * One statement: reference_1d, what it lacks, and the events that make up for it belong together.
 * It lacks late events of days that have stale references, and may lack those of a day that is being refreshed: such
 * days are read from the events. What a refresh has not begun with, the rollup takes from the events by itself.
 */
const SESSION = {
  name: 'session',
  text: `
    with state as materialized (
      select refreshed_1d, refreshing_1d from tenant_data.window_state
    ), unsure as materialized (
      select date_bin('1 day', bucket, 'epoch'::timestamptz) as day from tenant_data.late_window
      where tenant_id = $1 and stale_references and bucket < (select refreshing_1d from state)
      union
      select generate_series(refreshed_1d, refreshing_1d - interval '24 hours', interval '24 hours') from state
    ), usage as materialized (
      select customer_id, event_type, events, signed_value, tokens, first_ts, last_ts
      from tenant_data.reference_1d
      where tenant_id = $1 and reference = $2 and bucket <> all (array(select day from unsure))
      union all
      select e.customer_id, e.event_type, 1,
        case e.event_type when 'negative' then -coalesce(e.value, 0) else coalesce(e.value, 0) end,
        coalesce(e.tokens, 0), e.ts, e.ts
      from unsure,
        -- offset 0, since a join is not pushed into the view and a condition of a subquery is
        lateral (
          select customer_id, event_type, value, tokens, ts from tenant_data.event
          where tenant_id = $1 and reference = $2 and ts >= unsure.day and ts < unsure.day + interval '24 hours'
          offset 0
        ) as e
    )
    select event_type, sum(events) as events, sum(signed_value) as value, sum(tokens) as tokens,
      (extract(epoch from min(first_ts)) * 1000000)::bigint as first_micros,
      (extract(epoch from max(last_ts)) * 1000000)::bigint as last_micros,
      count(distinct customer_id) as unique_customers,
      (select array(select distinct customer_id collate "C" from usage order by 1 limit ${MAX_CUSTOMERS})) as customers
    from usage
    group by grouping sets ((event_type), ())
    having count(*) > 0
    order by event_type collate "C" nulls first`,
};

/**
 * Totals of one reference, over all time.
 *
 * @throws {TidemarkError} `not_found`.
 */
export async function readSession(db: Queryable, context: TenantContext, id: string): Promise<Session> {
  const { rows } = await db.query<Row>(lastStatement({ ...SESSION, values: [context.tenantId, id] }));
  const [total, ...types] = rows;
  if (!total) throw new TidemarkError('not_found', 'no event has this reference');
  const first = Number(total.first_micros);
  const last = Number(total.last_micros);
  return {
    id,
    ...sumsOf(total),
    first: formatTimestamp(first),
    last: formatTimestamp(last),
    durationMs: (last - first) / 1_000,
    byType: Object.fromEntries(types.map((row) => [row.event_type, sumsOf(row)])),
    uniqueCustomers: numberOf(total.unique_customers),
    customers: total.customers,
  };
}

function sumsOf(row: Row): SessionSums {
  return { events: numberOf(row.events), value: decimalOf(row.value), tokens: numberOf(row.tokens) };
}
