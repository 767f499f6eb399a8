-- revision 1, bb548efd402a
/*
 * Records windows that this transaction changed: one revision each, with what made it, and a window.revised for those who
 * want to hear of it. A window is told by the places of its tenant and customer, its number (of 30 seconds, since the
 * epoch), and whether events with references are among what is new in it. The row locks of the first statement order
 * the transactions that change a window, so the sums that the second one reads are those of its revision. Of events it
 * plans those of the days of the windows.
 *
 * In the same places how many events came, went or changed, and what was added to the sums; null where that is not known.
 * Late events have no correction. Corrections change open windows, too, of which nobody is told before they are closed.
 *
 * What is no longer kept is not added to either: the batch's lock keeps kept_from where it is.
 */
create or replace function record_revisions(
  tenants text[], customers text[], numbers bigint[], with_references boolean[], cause text, correction uuid,
  events integer[], calls bigint[], tokens numeric[], input_tokens numeric[], output_tokens numeric[], added numeric[]
) returns void
language plpgsql set jit = off as $$
#variable_conflict use_column
declare
  oldest timestamptz;
  changed_buckets timestamptz[]; -- and beside each its tenant, customer and revision
  changed_tenants text[];
  changed_customers text[];
  changed_revisions integer[];
  listening text[];
  near record;
  closed timestamptz; -- stays, by the batches' lock
  by_refresh boolean; -- on the postgres engine the trigger has the rollups up to date
begin
  select kept_from into oldest from retention where relation = 'event';
  if oldest > '-infinity' and to_timestamp((select min(number) from unnest(numbers) as number) * 30) < oldest then
    raise exception 'events before % are no longer kept', iso8601(oldest) using errcode = 'datetime_field_overflow';
  end if;
  select engine = 'timescale' into by_refresh from installation;
  select closed_until into closed from window_state;
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
  into changed_buckets, changed_tenants, changed_customers, changed_revisions from recorded where bucket < closed;

  insert into window_revision (tenant_id, bucket, customer_id, revision, at, cause, correction_id, received_at,
                               events, calls, tokens, input_tokens, output_tokens, value)
  select l.tenant_id, l.bucket, l.customer_id, l.revision, l.revised_at, record_revisions.cause, record_revisions.correction,
    case when record_revisions.correction is null then now() end,
    w.events, w.calls, w.tokens, w.input_tokens, w.output_tokens, w.added
  from unnest(tenants, customers, numbers, record_revisions.events, record_revisions.calls, record_revisions.tokens,
              record_revisions.input_tokens, record_revisions.output_tokens, record_revisions.added)
    as w (tenant_id, customer_id, number, events, calls, tokens, input_tokens, output_tokens, added)
  join late_window l
    on l.tenant_id = w.tenant_id and l.customer_id = w.customer_id and l.bucket = to_timestamp(w.number * 30);

  select array_agg(distinct tenant_id) into listening
    from subscription where active and 'window.revised' = any (message_types);
  if listening is null or changed_buckets is null then return; end if;
  for near in
    select min(w.bucket) as from_at, max(w.bucket) + interval '30 seconds' as to_at
    from unnest(changed_buckets, changed_tenants) as w (bucket, tenant_id)
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
        select * from unnest(changed_buckets, changed_tenants, changed_customers, changed_revisions)
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
    alter function record_revisions(
      text[], text[], bigint[], boolean[], text, uuid, integer[], bigint[], numeric[], numeric[], numeric[], numeric[]
    ) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function record_revisions(
  text[], text[], bigint[], boolean[], text, uuid, integer[], bigint[], numeric[], numeric[], numeric[], numeric[]
) from public;
