-- revision 1, 32ef962d9f75
/*
 * A window.revised for those who want to hear of it, of windows whose revisions this transaction has recorded: the sums
 * that it reads are those of these revisions. Of events it plans those of the days of the windows.
 */
create or replace function tell_revisions(
  buckets timestamptz[], tenants text[], customers text[], revisions integer[]
) returns void
language plpgsql set jit = off as $$
declare
  listening text[];
  near record;
begin
  select array_agg(distinct tenant_id) into listening
    from subscription where active and 'window.revised' = any (message_types);
  if listening is null or buckets is null then return; end if;
  for near in
    select min(w.bucket) as from_at, max(w.bucket) + interval '30 seconds' as to_at
    from unnest(buckets, tenants) as w (bucket, tenant_id)
    where w.tenant_id = any (listening)
    group by date_bin('8 days', w.bucket, 'epoch'::timestamptz)
    order by 1
  loop
    with usage (bucket, tenant_id, customer_id, revision, endpoint, model, calls, tokens, input_tokens, output_tokens,
                latency_sum, latency_count) as materialized (
      select l.bucket, l.tenant_id, l.customer_id, l.revision, e.endpoint, e.model, (e.event_id is not null)::int,
        coalesce(e.tokens, 0), coalesce(e.input_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0),
        (e.latency_ms is not null)::int
      from (
        select * from unnest(buckets, tenants, customers, revisions)
          as w (bucket, tenant_id, customer_id, revision)
        where tenant_id = any (listening) and bucket >= near.from_at and bucket < near.to_at
      ) as l
      left join lateral (
        -- For each window: without statistics, all events of all windows would look like as little work.
        select * from event e
        where e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
          and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
          and e.ts >= near.from_at and e.ts < near.to_at
        offset 0
      ) as e on true -- all of them may be void
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
    select 'window.revised', tenant_id, customer_id, jsonb_build_object(
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
  end loop;
end $$;

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function tell_revisions(timestamptz[], text[], text[], integer[]) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function tell_revisions(timestamptz[], text[], text[], integer[]) from public;
