-- revision 1, 74856bb664ee
/*
 * Records closed windows that this transaction changed: one revision each, and a window.revised for those who
 * want to hear of it. A window is told by the places of its tenant and customer, its number (of 30 seconds, since the
 * epoch), and whether events with references are among what is new in it. The row locks of the first statement order
 * the transactions that change a window, so the sums that the second one reads are those of its revision. Of events it
 * plans those of the days of the windows.
 *
 * What is no longer kept is not added to either: the batch's lock keeps kept_from where it is.
 */
create or replace function revise_windows(
  tenants text[], customers text[], numbers bigint[], with_references boolean[]
) returns void
language plpgsql security definer set search_path from current set jit = off as $$
declare
  oldest timestamptz;
  changed_buckets timestamptz[]; -- and beside each its tenant, customer and revision
  changed_tenants text[];
  changed_customers text[];
  changed_revisions integer[];
  listening text[];
  near record;
  by_refresh boolean; -- on the postgres engine the trigger has the rollups up to date
begin
  select kept_from into oldest from retention where relation = 'event';
  if oldest > '-infinity' and to_timestamp((select min(number) from unnest(numbers) as number) * 30) < oldest then
    raise exception 'events before % are no longer kept', iso8601(oldest) using errcode = 'datetime_field_overflow';
  end if;
  select engine = 'timescale' into by_refresh from installation;
  with recorded as (
    insert into late_window as l (bucket, tenant_id, customer_id, revision, stale, stale_references, revised_at)
    select to_timestamp(w.number * 30), w.tenant_id, w.customer_id, 1, by_refresh, by_refresh and w.referred,
           greatest(clock_timestamp(), s.settled_at + interval '1 microsecond')
    from unnest(tenants, customers, numbers, with_references) as w (tenant_id, customer_id, number, referred),
      window_state s
    order by w.tenant_id, w.customer_id, w.number
    on conflict (tenant_id, customer_id, bucket) do update set
      revision = l.revision + 1,
      stale = excluded.stale,
      stale_references = l.stale_references or excluded.stale_references,
      changed_by = excluded.changed_by,
      revised_at = excluded.revised_at,
      updated_at = now()
    returning bucket, tenant_id, customer_id, revision
  )
  select array_agg(bucket), array_agg(tenant_id), array_agg(customer_id), array_agg(revision)
  into changed_buckets, changed_tenants, changed_customers, changed_revisions from recorded;

  select array_agg(distinct tenant_id) into listening
    from subscription where active and 'window.revised' = any (message_types);
  if listening is null then return; end if;
  for near in
    select min(w.bucket) as from_at, max(w.bucket) + interval '30 seconds' as to_at
    from unnest(changed_buckets, changed_tenants) as w (bucket, tenant_id)
    where w.tenant_id = any (listening)
    group by date_bin('8 days', w.bucket, 'epoch'::timestamptz)
    order by 1
  loop
    with usage (bucket, tenant_id, customer_id, revision, endpoint, model, calls, tokens, input_tokens, output_tokens,
                latency_sum, latency_count) as materialized (
      select l.bucket, l.tenant_id, l.customer_id, l.revision, e.endpoint, e.model, 1, coalesce(e.tokens, 0),
        coalesce(e.input_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0),
        (e.latency_ms is not null)::int
      from (
        select * from unnest(changed_buckets, changed_tenants, changed_customers, changed_revisions)
          as w (bucket, tenant_id, customer_id, revision)
        where tenant_id = any (listening) and bucket >= near.from_at and bucket < near.to_at
      ) as l
      cross join lateral (
        -- For each window: without statistics, all events of all windows would look like as little work.
        select * from event e
        where e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
          and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
          and e.ts >= near.from_at and e.ts < near.to_at
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
    alter function revise_windows(text[], text[], bigint[], boolean[]) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function revise_windows(text[], text[], bigint[], boolean[]) from public;
grant execute on function revise_windows(text[], text[], bigint[], boolean[]) to tidemark_ingest;
