-- revision 1, 55e24f01e0ab
/*
 * Records closed windows that this transaction changed: one revision each, and a window.revised for those who
 * want to hear of it. The row locks of the first statement order the transactions that change a window, so the
 * sums that the second one reads are those of its revision. Of events it plans those of the days of the windows.
 */
create or replace function record_late_windows(windows jsonb) returns void
language plpgsql set jit = off as $$
declare
  tenants text[];
  near record;
begin
  insert into late_window as l (bucket, tenant_id, customer_id, revision, stale, stale_references, revised_at)
  select w.bucket, w.tenant_id, w.customer_id, 1, false,
         false,
         greatest(clock_timestamp(), s.settled_at + interval '1 microsecond')
  from jsonb_to_recordset(windows)
    as w (bucket timestamptz, tenant_id text, customer_id text, "references" boolean),
    window_state s
  order by w.tenant_id, w.customer_id, w.bucket
  on conflict (tenant_id, customer_id, bucket) do update set
    revision = l.revision + 1,
    stale = excluded.stale,
    stale_references = l.stale_references or excluded.stale_references,
    changed_by = excluded.changed_by,
    revised_at = excluded.revised_at,
    updated_at = now();

  select array_agg(distinct tenant_id) into tenants
    from subscription where active and 'window.revised' = any (message_types);
  if tenants is null then return; end if;
  for near in
    select min(w.bucket) as from_at, max(w.bucket) + interval '30 seconds' as to_at
    from jsonb_to_recordset(windows) as w (bucket timestamptz, tenant_id text)
    where w.tenant_id = any (tenants)
    group by date_bin('8 days', w.bucket, 'epoch'::timestamptz)
    order by 1
  loop
    with usage (bucket, tenant_id, customer_id, revision, endpoint, model, calls, tokens, input_tokens, output_tokens,
                latency_sum, latency_count) as materialized (
      select l.bucket, l.tenant_id, l.customer_id, l.revision, e.endpoint, e.model, 1, coalesce(e.tokens, 0),
        coalesce(e.input_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0),
        (e.latency_ms is not null)::int
      from (
        select l.* from late_window l
        join jsonb_to_recordset(windows) as w (bucket timestamptz, tenant_id text, customer_id text)
          using (bucket, tenant_id, customer_id)
        where l.tenant_id = any (tenants) and w.bucket >= near.from_at and w.bucket < near.to_at
      ) as l
      join event e on e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
        and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
        and e.ts >= near.from_at and e.ts < near.to_at
    ), total as (
      select bucket, tenant_id, customer_id, revision, sum(calls)::bigint as calls, sum(tokens)::bigint as tokens,
        sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
        sum(latency_sum) as latency_sum, sum(latency_count)::bigint as latency_count
      from usage group by bucket, tenant_id, customer_id, revision
    ), by_endpoint as (
      select bucket, tenant_id, customer_id, jsonb_object_agg(endpoint, sums) as sums
      from (select bucket, tenant_id, customer_id, endpoint,
              jsonb_build_object('calls', sum(calls)::bigint, 'tokens', sum(tokens)::bigint) as sums
            from usage where endpoint is not null group by bucket, tenant_id, customer_id, endpoint) as named
      group by bucket, tenant_id, customer_id
    ), by_model as (
      select bucket, tenant_id, customer_id, jsonb_object_agg(model, sums) as sums
      from (select bucket, tenant_id, customer_id, model,
              jsonb_build_object('calls', sum(calls)::bigint, 'tokens', sum(tokens)::bigint) as sums
            from usage where model is not null group by bucket, tenant_id, customer_id, model) as named
      group by bucket, tenant_id, customer_id
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
        'byEndpoint', coalesce(by_endpoint.sums, '{}'), 'byModel', coalesce(by_model.sums, '{}')))
    from total
      left join by_endpoint using (bucket, tenant_id, customer_id)
      left join by_model using (bucket, tenant_id, customer_id)
    order by bucket, tenant_id, customer_id;
  end loop;
end $$;

revoke execute on function record_late_windows(jsonb) from public;
