-- revision 1, be983550afa0
/*
 * Counts days of references anew, of the events that are there. Each row is locked before it is counted, in the order in which
 * batches lock them (recount_usage says why that is enough). Rows that have nothing left go.
 *
 * days: [{tenant_id, reference, bucket, customer_id, event_type}]
 */
create or replace function recount_references(days jsonb) returns void
language plpgsql set jit = off as $$
declare
  keys reference_1d[];
begin
  with touched as (
    select distinct d.* from jsonb_to_recordset(days)
      as d (tenant_id text, reference text, bucket timestamptz, customer_id text, event_type text)
  ), locked as (
    insert into reference_1d as r (bucket, tenant_id, reference, customer_id, event_type,
                                   events, value_sum, tokens, first_ts, last_ts)
    select bucket, tenant_id, reference, customer_id, event_type, 0, 0, 0, bucket, bucket from touched
    order by tenant_id, reference, bucket, customer_id, event_type
    on conflict (tenant_id, reference, bucket, key_digest(customer_id, event_type)) do update set events = r.events
    returning r.*
  )
  select array_agg(row(locked.*)::reference_1d) into keys from locked;
  if keys is null then return; end if;

  with made as materialized (
    select k.tenant_id, k.reference, k.bucket, key_digest(k.customer_id, k.event_type) as digest,
      e.events, e.value_sum, e.tokens, coalesce(e.first_ts, k.bucket) as first_ts, coalesce(e.last_ts, k.bucket) as last_ts
    from unnest(keys) as k cross join lateral (
      select count(*) as events, coalesce(sum(value), 0) as value_sum, coalesce(sum(tokens), 0)::bigint as tokens,
        min(ts) as first_ts, max(ts) as last_ts
      from event
      where tenant_id = k.tenant_id and reference = k.reference and customer_id = k.customer_id and event_type = k.event_type
        and ts >= k.bucket and ts < k.bucket + interval '1 day'
    ) as e
  )
  update reference_1d r set
    events = m.events, value_sum = m.value_sum, tokens = m.tokens, first_ts = m.first_ts, last_ts = m.last_ts
  from made as m
  where r.tenant_id = m.tenant_id and r.reference = m.reference and r.bucket = m.bucket
    and key_digest(r.customer_id, r.event_type) = m.digest;

  delete from reference_1d r using unnest(keys) as k
  where r.events = 0 and r.tenant_id = k.tenant_id and r.reference = k.reference and r.bucket = k.bucket
    and key_digest(r.customer_id, r.event_type) = key_digest(k.customer_id, k.event_type);
end $$;

revoke execute on function recount_references(jsonb) from public;
