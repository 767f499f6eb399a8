-- revision 3, 2deae38785ee
/*
 * Writes window.closed for the windows that have closed and are in usage_30s, at most 'most' of them at a time, and
 * notes how far it got, in one transaction: each window is announced once, whoever does it. Of events it plans those of
 * the windows. Returns whether there is more to do.
 *
 * Windows and what is late of them are joined by hash: how many there are the planner does not know.
 */
create or replace function write_closed_windows(most integer) returns boolean
language plpgsql set jit = off set plan_cache_mode = force_custom_plan
set enable_nestloop = off set enable_mergejoin = off as $$
declare
  tenants text[];
  from_at timestamptz;
  to_at timestamptz;
  reach timestamptz;
begin
  select least(closed_until, refreshed_30s) into reach from window_state;
  select announced_until into from_at from window_announcement where announced_until < reach for update skip locked;
  if not found then return false; end if;
  select array_agg(distinct tenant_id) into tenants
    from subscription where active and 'window.closed' = any (message_types);
  to_at := case when tenants is null then reach else least(reach, from_at + most * interval '30 seconds') end;
  if tenants is not null then
    with usage (bucket, tenant_id, customer_id, revision, endpoint, model, calls, tokens, input_tokens, output_tokens,
                latency_sum, latency_count) as materialized (
      select u.bucket, u.tenant_id, u.customer_id, coalesce(l.revision, 0) as revision, u.endpoint, u.model, u.calls,
        u.tokens, u.input_tokens, u.output_tokens, u.latency_sum, u.latency_count
      from usage_30s u
      left join (
        select * from late_window where tenant_id = any (tenants) and bucket >= from_at and bucket < to_at
      ) as l using (bucket, tenant_id, customer_id)
      where u.tenant_id = any (tenants) and u.bucket >= from_at and u.bucket < to_at and l.stale is not true
      union all
      select l.bucket, l.tenant_id, l.customer_id, l.revision, e.endpoint, e.model, 1, coalesce(e.tokens, 0),
        coalesce(e.input_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0),
        (e.latency_ms is not null)::int
      from (
        select * from late_window
        where stale and tenant_id = any (tenants) and bucket >= from_at and bucket < to_at
      ) as l
      cross join lateral (
        -- For each window: without statistics, all events of all windows would look like as little work.
        select * from event e
        where e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
          and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
          and e.ts >= from_at and e.ts < to_at
        offset 0
      ) as e
    ), sums as (
      select bucket, tenant_id, customer_id, revision, endpoint, model, grouping(endpoint, model) as of,
        sum(calls)::bigint as calls, sum(tokens)::bigint as tokens,
        sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
        sum(latency_sum) as latency_sum, sum(latency_count)::bigint as latency_count
      from usage
      group by bucket, tenant_id, customer_id, revision, grouping sets ((), (endpoint), (model))
    ), total as (
      select bucket, tenant_id, customer_id, revision,
        max(calls) filter (where of = 3) as calls, max(tokens) filter (where of = 3) as tokens,
        max(input_tokens) filter (where of = 3) as input_tokens,
        max(output_tokens) filter (where of = 3) as output_tokens,
        max(latency_sum) filter (where of = 3) as latency_sum,
        max(latency_count) filter (where of = 3) as latency_count,
        jsonb_object_agg(endpoint, jsonb_build_object('calls', calls, 'tokens', tokens))
          filter (where of = 1 and endpoint is not null) as by_endpoint,
        jsonb_object_agg(model, jsonb_build_object('calls', calls, 'tokens', tokens))
          filter (where of = 2 and model is not null) as by_model
      from sums group by bucket, tenant_id, customer_id, revision
    )
    insert into outbox (type, tenant_id, customer_id, payload)
    select 'window.closed', tenant_id, customer_id, jsonb_build_object(
      'windowStart', iso8601(bucket), 'windowEnd', iso8601(bucket + interval '30 seconds'),
      'tenantId', tenant_id, 'customerId', customer_id,
      'state', case when revision > 0 then 'revised' else 'closed' end, 'revision', revision,
      'aggregations', jsonb_build_object(
        'totalCalls', calls, 'totalTokens', tokens,
        'totalInputTokens', input_tokens, 'totalOutputTokens', output_tokens,
        'avgLatencyMs', case when latency_count > 0
                        then floor(latency_sum / latency_count * 1000 + 0.5) / 1000 end,
        'byEndpoint', coalesce(by_endpoint, '{}'), 'byModel', coalesce(by_model, '{}')))
    from total
    order by bucket, tenant_id, customer_id;
  end if;
  update window_announcement set announced_until = to_at, updated_at = now();
  return to_at < reach;
end $$;

revoke execute on function write_closed_windows(integer) from public;
