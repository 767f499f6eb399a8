/*
 * The statements that read windows. The sums, the state and the revision of a window are read together, by one of
 * them. A window that usage_30s lacks a late event of is read from the events, for just its
 * customer. One all of whose events are void is there, with sums of zero: who copies windows has to hear of it.
 *
 * Prepared, with everything a parameter: parsed once, and on the postgres engine planned once.
 */

/** A statement that is prepared once per connection. */
export interface PreparedStatement {
  name: string;
  text: string;
}

const SUMS = 'calls, tokens, input_tokens, output_tokens, latency_sum, latency_count';

/** Rows like those of usage_30s from the events of the windows `l`, which are stale. */
const FROM_EVENTS = `
      select l.bucket, l.customer_id, e.endpoint, e.model, 1, coalesce(e.tokens, 0), coalesce(e.input_tokens, 0),
             coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0), (e.latency_ms is not null)::int
      from late l,
        -- offset 0, since a join is not pushed into the view and a condition of a subquery is
        lateral (
          select endpoint, model, tokens, input_tokens, output_tokens, latency_ms
          from tenant_data.event
          where tenant_id = $1 and customer_id = l.customer_id
            and ts >= l.bucket and ts < l.bucket + interval '30 seconds'
            and ts >= $2 and ts < $3::timestamptz + interval '30 seconds' -- so that other chunks are not looked at
          offset 0
        ) as e
      where l.stale`;

/** No rows, but an error where windows are no longer kept that far back; for what has the columns of `usage`. */
const KEPT = `
      union all
      select ${'null, '.repeat(9)}null from tenant_data.require_kept('usage_30s', $2)`;

const SUMMED = `
    select extract(epoch from bucket) * 1000 as bucket_ms, customer_id, endpoint, model,
      coalesce(sum(calls), 0) as calls, coalesce(sum(tokens), 0) as tokens, coalesce(sum(input_tokens), 0) as input_tokens,
      coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(latency_sum), 0) as latency_sum,
      coalesce(sum(latency_count), 0) as latency_count,
      bucket < (select closed_until from tenant_data.window_state) as closed,
      coalesce((select revision from late where late.bucket = page.bucket
                and late.customer_id = page.customer_id), 0) as revision
    from page left join usage using (bucket, customer_id)
    group by bucket, customer_id, endpoint, model
    order by bucket, customer_id collate "C", endpoint, model`;

const STATE_CONDITION = {
  any: '',
  open: 'and bucket >= (select closed_until from tenant_data.window_state)',
  closed: 'and bucket < (select closed_until from tenant_data.window_state)',
};

/**
 * Windows that start in a range. Parameters: tenant, from, to, customer after which the first window goes on (or
 * null), limit, and the customer where it is for one.
 */
export function windowsInRange(state: keyof typeof STATE_CONDITION, oneCustomer: boolean): PreparedStatement {
  const only = (column: string) => (oneCustomer ? `and ${column} = $6` : '');
  return {
    name: `${state} windows of ${oneCustomer ? 'one customer' : 'all customers'}`,
    text: `
    with late as (
      select bucket, customer_id, revision, stale from tenant_data.late_window
      where tenant_id = $1 and bucket >= $2 and bucket < $3 ${only('customer_id')} ${STATE_CONDITION[state]}
    ), usage as (
      select bucket, customer_id, endpoint, model, ${SUMS}
      from tenant_data.usage_30s u
      where tenant_id = $1 and bucket >= $2 and bucket < $3 ${only('customer_id')} ${STATE_CONDITION[state]}
        and not exists (select from late l
                        where l.stale and l.bucket = u.bucket and l.customer_id = u.customer_id)
      union all ${FROM_EVENTS} ${KEPT}
    ), page as (
      select bucket, customer_id
      from (
        select bucket, customer_id from usage
        union all
        select bucket, customer_id from late -- of some of them all events are void
      ) as windows
      where $4::text is null or bucket > $2 or customer_id collate "C" > $4
      group by bucket, customer_id
      order by bucket, customer_id collate "C"
      limit $5
    ) ${SUMMED}`,
  };
}

/**
 * Closed windows that start in a range and that late events changed after a moment, and not after another one.
 * Parameters as above, those two moments before the customer.
 */
export function windowsRevised(oneCustomer: boolean): PreparedStatement {
  return {
    name: `revised windows of ${oneCustomer ? 'one customer' : 'all customers'}`,
    text: `
    with late as materialized (
      select bucket, customer_id, revision, stale from tenant_data.late_window
      where tenant_id = $1 and bucket >= $2 and bucket < $3 and revised_at > $6 and revised_at <= $7
        and ($4::text is null or bucket > $2 or customer_id collate "C" > $4) ${oneCustomer ? 'and customer_id = $8' : ''}
        ${STATE_CONDITION.closed} -- corrections change open ones as well
      order by bucket, customer_id collate "C"
      limit $5
    ), page as (
      select bucket, customer_id from late
    ), usage as (
      select bucket, customer_id, endpoint, model, ${SUMS}
      from tenant_data.usage_30s u
      where tenant_id = $1 and bucket >= $2 and bucket < $3
        and bucket = any (array(select bucket from page)) -- into the index, where the join below is not pushed
        and customer_id = any (array(select customer_id from page))
        and exists (select from late l
                    where not l.stale and l.bucket = u.bucket and l.customer_id = u.customer_id)
      union all ${FROM_EVENTS} ${KEPT}
    ) ${SUMMED}`,
  };
}
