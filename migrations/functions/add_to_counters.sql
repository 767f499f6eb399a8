-- revision 1, d2d0bc1364fc
/*
 * Adds what a batch has summed up to each counter, in the order of the keys: batches that share some wait for
 * each other, never in a circle. The writer calls it last, since batches wait here for each other's commit.
 */
create or replace function add_to_counters(sums jsonb, idempotent jsonb) returns void
language sql security definer set search_path from current as $$
  insert into idempotent_increment (tenant_id, event_id, key, value)
  select i.tenant_id, i.event_id, i.key, i.value
  from jsonb_to_recordset(idempotent) as i (tenant_id text, event_id uuid, key text, value numeric);

  insert into counter as c (tenant_id, key, value)
  select s.tenant_id, s.key, s.value
  from jsonb_to_recordset(sums) as s (tenant_id text, key text, value numeric)
  order by s.tenant_id collate "C", s.key collate "C"
  on conflict (tenant_id, key) do update set
    value = c.value + excluded.value,
    updated_at = greatest(clock_timestamp(), c.updated_at)
$$;

revoke execute on function add_to_counters(jsonb, jsonb) from public;
grant execute on function add_to_counters(jsonb, jsonb) to tidemark_ingest;
