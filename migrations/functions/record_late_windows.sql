-- revision 4, 1a3eec84a896
/*
 * Records windows that this transaction changed: one revision each, with what made it, and a window.revised for those who
 * want to hear of it. The row locks of the first statement order the transactions that change a window, so the
 * sums that the second one reads are those of its revision. Of events it plans those of the days of the windows.
 *
 * windows: [{bucket, tenant_id, customer_id, references, cause, correction, events, calls, tokens, input_tokens, output_tokens,
 * value}]; the last five are what was added to the sums. Late events have no cause; those of the version before no numbers
 * either. Corrections change open windows, too, of which nobody is told before they are closed.
 */
create or replace function record_late_windows(windows jsonb) returns void
language plpgsql set jit = off as $$
declare
  changed jsonb;
  tenants text[];
  near record;
  by_refresh boolean; -- on the postgres engine the trigger has the rollups up to date
  closed timestamptz; -- stays, by the lock of the batches
begin
  select engine = 'timescale' into by_refresh from installation;
  select closed_until into closed from window_state;
  with changed_window as materialized (
    select * from jsonb_to_recordset(windows)
      as w (bucket timestamptz, tenant_id text, customer_id text, "references" boolean, cause text, correction uuid,
            events integer, calls bigint, tokens numeric, input_tokens numeric, output_tokens numeric, value numeric)
  ), recorded as (
    insert into late_window as l (bucket, tenant_id, customer_id, revision, stale, stale_references, revised_at)
    select w.bucket, w.tenant_id, w.customer_id, 1, by_refresh, by_refresh and w."references",
           greatest(clock_timestamp(), s.settled_at + interval '1 microsecond')
    from changed_window w, window_state s
    order by w.tenant_id, w.customer_id, w.bucket
    on conflict (tenant_id, customer_id, bucket) do update set
      revision = l.revision + 1,
      stale = excluded.stale,
      stale_references = l.stale_references or excluded.stale_references,
      changed_by = excluded.changed_by,
      revised_at = excluded.revised_at,
      updated_at = now()
    returning bucket, tenant_id, customer_id, revision, revised_at
  ), told as (
    insert into window_revision (tenant_id, bucket, customer_id, revision, at, cause, correction_id, received_at,
                                 events, calls, tokens, input_tokens, output_tokens, value)
    select r.tenant_id, r.bucket, r.customer_id, r.revision, r.revised_at, coalesce(w.cause, 'late'), w.correction,
      case when w.cause is null then now() end,
      w.events, w.calls, w.tokens, w.input_tokens, w.output_tokens, w.value
    from recorded r join changed_window w
      on w.tenant_id = r.tenant_id and w.customer_id = r.customer_id and w.bucket = r.bucket
  )
  select jsonb_agg(to_jsonb(recorded)) into changed from recorded where bucket < closed;

  select array_agg(distinct tenant_id) into tenants
    from subscription where active and 'window.revised' = any (message_types);
  if tenants is null or changed is null then return; end if;
  for near in
    select min(w.bucket) as from_at, max(w.bucket) + interval '30 seconds' as to_at
    from jsonb_to_recordset(changed) as w (bucket timestamptz, tenant_id text)
    where w.tenant_id = any (tenants)
    group by date_bin('8 days', w.bucket, 'epoch'::timestamptz)
    order by 1
  loop
    with usage (bucket, tenant_id, customer_id, revision, endpoint, model, calls, tokens, input_tokens, output_tokens,
                latency_sum, latency_count) as materialized (
      select l.bucket, l.tenant_id, l.customer_id, l.revision, e.endpoint, e.model, (e.event_id is not null)::int,
        coalesce(e.tokens, 0), coalesce(e.input_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0),
        (e.latency_ms is not null)::int
      from (
        select * from jsonb_to_recordset(changed)
          as w (bucket timestamptz, tenant_id text, customer_id text, revision integer)
        where tenant_id = any (tenants) and bucket >= near.from_at and bucket < near.to_at
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
    alter function record_late_windows(jsonb) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function record_late_windows(jsonb) from public;
