-- revision 1, 3e25a472a337
/*
 * Records windows that this transaction changed: one revision each, and what made it. A window is told by the places of
 * its tenant and customer, its number (of 30 seconds, since the epoch), and whether events with references are among what
 * moved in it; the last six are how many events, and what was added to its sums: null where the version before gave
 * them. Late events have no cause. The row locks order the transactions that change a window. Corrections change open
 * windows, too: what comes back are those that are closed, of which somebody may want to hear.
 *
 * Each window is looked up once in what was recorded. Without statistics, all of them would look like a few, to be
 * compared each with each.
 */
create or replace function record_revisions(
  tenants text[], customers text[], numbers bigint[], with_references boolean[], of_cause text, of_correction uuid,
  of_events integer[], of_tokens numeric[], of_input numeric[], of_output numeric[], of_value numeric[],
  of_calls bigint[],
  out changed_buckets timestamptz[], out changed_tenants text[], out changed_customers text[],
  out changed_revisions integer[]
)
language plpgsql set jit = off set enable_nestloop = off as $$
declare
  by_refresh boolean; -- on the postgres engine the trigger has the rollups up to date
  closed timestamptz; -- stays, by the lock of the batches
begin
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
    returning bucket, tenant_id, customer_id, revision, revised_at
  ), told as (
    insert into window_revision (tenant_id, bucket, customer_id, revision, at, cause, correction_id, received_at,
                                 events, calls, tokens, input_tokens, output_tokens, value)
    select r.tenant_id, r.bucket, r.customer_id, r.revision, r.revised_at, coalesce(of_cause, 'late'), of_correction,
      case when of_cause is null then now() end, w.events, w.calls, w.tokens, w.input_tokens, w.output_tokens, w.value
    from recorded r
      join unnest(tenants, customers, numbers, of_events, of_calls, of_tokens, of_input, of_output, of_value)
        as w (tenant_id, customer_id, number, events, calls, tokens, input_tokens, output_tokens, value)
      on w.tenant_id = r.tenant_id and w.customer_id = r.customer_id
        and to_timestamp(w.number * 30) = r.bucket
  )
  select array_agg(bucket), array_agg(tenant_id), array_agg(customer_id), array_agg(revision)
  into changed_buckets, changed_tenants, changed_customers, changed_revisions from recorded where bucket < closed;
end $$;

revoke execute on function record_revisions(text[], text[], bigint[], boolean[], text, uuid, integer[], numeric[],
  numeric[], numeric[], numeric[], bigint[]) from public;
