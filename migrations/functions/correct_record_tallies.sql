-- revision 1, 42827c3613fa
/*
 * Takes records out of what messages tell of those before, and puts records into it:
 * [{customer, key, type, value, ts, received, counts}].
 *
 * What was there before somebody listened is in record_history, as far as that is filled, and in tallies that have taken it
 * over; what came later is in tallies. By who has the advisory lock of the history and the batches' shared one; tallies in
 * the order in which batches lock them, also those that a batch under way begins, which has read what was before
 * (correct_usage_tallies). The last time of a key that has lost a record is looked up.
 */
create or replace function correct_record_tallies(tenant text, records jsonb) returns void
language plpgsql set jit = off set plan_cache_mode = force_custom_plan as $$
declare
  me uuid := gen_random_uuid();
  now_epoch bigint;
  fill record_fill;
begin
  select record_epoch into now_epoch from tally_state where tenant_id = tenant and tally_state.records;
  if not found then return; end if;
  select * into fill from record_fill where tenant_id = tenant and epoch = now_epoch;

  insert into record_tally as t (tenant_id, customer_id, reference_key, epoch, begun_by, count, total, last_time, history)
  select tenant, r.customer, r.key, now_epoch, me, 0, 0, null, false
  from jsonb_to_recordset(records) as r (customer text, key text)
  group by r.customer, r.key
  order by r.customer collate "C", r.key collate "C"
  on conflict (tenant_id, customer_id, reference_key) do update set count = t.count;

  -- Of keys that nobody has told of, there stays what no tally will find by itself.
  insert into record_tally as t (tenant_id, customer_id, reference_key, epoch, begun_by, count, total, last_time, history)
  select tenant, r.customer, r.key, now_epoch, gen_random_uuid(), 0, 0, null, false
  from jsonb_to_recordset(records)
    as r (customer text, key text, type text, value numeric, ts timestamptz, received timestamptz, counts boolean)
  where r.counts and r.received >= coalesce(fill.received_before, '-infinity')
  group by r.customer, r.key
  order by r.customer collate "C", r.key collate "C"
  on conflict (tenant_id, customer_id, reference_key) do update set
    epoch = excluded.epoch,
    begun_by = case when t.epoch = excluded.epoch then t.begun_by else excluded.begun_by end,
    history = t.history and t.epoch = excluded.epoch,
    count = case when t.epoch = excluded.epoch then t.count else 0 end,
    total = case when t.epoch = excluded.epoch then t.total else 0 end,
    last_time = case when t.epoch = excluded.epoch then t.last_time end;

  delete from record_tally t
  where t.tenant_id = tenant and t.begun_by = me and (t.customer_id, t.reference_key) in (
    select r.customer, r.key from jsonb_to_recordset(records)
      as r (customer text, key text, received timestamptz, counts boolean)
    group by r.customer, r.key
    having not coalesce(bool_or(r.counts and r.received >= coalesce(fill.received_before, '-infinity')), false));

  with moved as (
    select r.customer, r.key, r.ts, r.counts, r.received < coalesce(fill.received_before, '-infinity') as before,
      case when r.counts then 1 else -1 end as one,
      case when r.counts then 1 else -1 end * case r.type when 'positive' then r.value else -r.value end as signed
    from jsonb_to_recordset(records)
      as r (customer text, key text, type text, value numeric, ts timestamptz, received timestamptz, counts boolean)
  ), of_tally as (
    select t.customer_id, t.reference_key, sum(m.one) as count, sum(m.signed) as total,
      max(m.ts) filter (where m.counts) as added, max(m.ts) filter (where not m.counts) as lost
    from moved m join record_tally t on t.tenant_id = tenant and t.customer_id = m.customer and t.reference_key = m.key
    where t.epoch = now_epoch and (t.history or not m.before)
    group by 1, 2
  )
  update record_tally t set
    count = t.count + o.count,
    total = t.total + o.total,
    last_time = case when o.lost < t.last_time or o.lost is null then greatest(t.last_time, o.added) else (
      select max(e.ts) from event e
      where e.tenant_id = tenant and e.customer_id = t.customer_id and e.event_type in ('positive', 'negative')
        and case when t.reference_key = '' then e.reference is null else e.reference = substr(t.reference_key, 2) end
        and (t.history or e.received_at >= coalesce(fill.received_before, '-infinity'))
    ) end
  from of_tally o
  where t.tenant_id = tenant and t.customer_id = o.customer_id and t.reference_key = o.reference_key;

  if fill.received_before is null then return; end if;
  insert into record_history as h (tenant_id, epoch, customer_id, reference_key, count, total, last_time)
  select tenant, now_epoch, r.customer, r.key, sum(case when r.counts then 1 else -1 end),
    sum(case when r.counts then 1 else -1 end * case r.type when 'positive' then r.value else -r.value end), max(r.ts)
  from jsonb_to_recordset(records)
    as r (customer text, key text, type text, value numeric, ts timestamptz, received timestamptz, counts boolean)
  where r.received < fill.received_before and (fill.whole or r.ts < fill.filled_to)
  group by r.customer, r.key
  order by r.customer, r.key
  on conflict (tenant_id, epoch, customer_id, reference_key) do update set
    count = h.count + excluded.count,
    total = h.total + excluded.total,
    last_time = case when excluded.last_time < h.last_time then h.last_time else coalesce((
      select max(e.ts) from event e
      where e.tenant_id = h.tenant_id and e.customer_id = h.customer_id and e.event_type in ('positive', 'negative')
        and case when h.reference_key = '' then e.reference is null else e.reference = substr(h.reference_key, 2) end
        and e.received_at < fill.received_before and (fill.whole or e.ts < fill.filled_to)
    ), h.last_time) end;
  delete from record_history h
  where h.tenant_id = tenant and h.epoch = now_epoch and h.count = 0 and (h.customer_id, h.reference_key) in (
    select r.customer, r.key from jsonb_to_recordset(records) as r (customer text, key text));
end $$;

revoke execute on function correct_record_tallies(text, jsonb) from public;
