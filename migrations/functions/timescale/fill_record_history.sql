-- revision 1, 12045ab5866d
/*
 * Adds the records of before somebody listened up, in steps of a day at a time, for at most 'patience' but for the
 * day at hand. Whatever was received before received_before was stored by then, since nobody was in a batch at that
 * moment; what is stored later is received later (write_messages sees to it). One instance at a time.
 * Returns whether there is more to do; false also when another instance is at it.
 */
create or replace function fill_record_history(patience interval) returns boolean
language plpgsql set jit = off set plan_cache_mode = force_custom_plan as $$
declare
  started timestamptz := clock_timestamp();
  fill record_fill;
  from_at timestamptz;
  to_at timestamptz;
  broken_off boolean := false;
begin
  if not exists (select from record_fill where not whole) then return false; end if;
  if not pg_try_advisory_xact_lock(hashtext('tidemark.record_history')) then return false; end if;
  select * into fill from record_fill where not whole order by filled_to, received_before limit 1;
  if not found then return false; end if;
  for from_at, to_at in
    select c.range_start, c.range_end from timescaledb_information.chunks c
    where c.hypertable_schema = (
        select n.nspname from pg_class r join pg_namespace n on n.oid = r.relnamespace where r.oid = 'event'::regclass)
      and c.hypertable_name = 'event' and c.range_end > fill.filled_to
    order by c.range_start
  loop
    insert into record_history as h (tenant_id, epoch, customer_id, reference_key, count, total, last_time)
    select e.tenant_id, fill.epoch, e.customer_id, coalesce('=' || e.reference, ''), count(*),
      sum(case e.event_type when 'positive' then coalesce(e.value, 0) else -coalesce(e.value, 0) end), max(e.ts)
    from event e
    where e.tenant_id = fill.tenant_id and e.ts >= from_at and e.ts < to_at
      and e.event_type in ('positive', 'negative') and e.received_at < fill.received_before
    group by 1, 2, 3, 4
    on conflict (tenant_id, epoch, customer_id, reference_key) do update set
      count = h.count + excluded.count,
      total = h.total + excluded.total,
      last_time = greatest(h.last_time, excluded.last_time);
    fill.filled_to := to_at;
    broken_off := clock_timestamp() > started + patience;
    exit when broken_off;
  end loop;
  fill.whole := not broken_off;
  update record_fill f set filled_to = fill.filled_to, whole = fill.whole
    where f.tenant_id = fill.tenant_id and f.epoch = fill.epoch;
  return not fill.whole or exists (select from record_fill where not whole);
end $$;

revoke execute on function fill_record_history(interval) from public;
