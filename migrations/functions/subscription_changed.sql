-- revision 1, f99b7f1b740b
/*
 * A subscription has changed. Who begins to hear of something hears of every batch that enters after this
 * transaction, and of none before; who ceases to hear needs not wait for anybody. Who begins to listen to records has
 * those of before that added up.
 */
create or replace function subscription_changed() returns trigger
language plpgsql set lock_timeout = '500ms' as $$
declare
  -- Messages that are written by the batch whose events they tell of. window.* are written elsewhere.
  of_batches constant text[] := array['alert.triggered', 'record.processed', 'usage.threshold'];
  heard text[];
  hears text[];
  tenant text;
  was tally_state;
  records_now boolean;
  usage_now boolean;
  now_epoch bigint;
begin
  if tg_op <> 'INSERT' and old.active then
    heard := array(select unnest(old.message_types) intersect select unnest(of_batches) order by 1);
  end if;
  if tg_op <> 'DELETE' and new.active then
    hears := array(select unnest(new.message_types) intersect select unnest(of_batches) order by 1);
  end if;
  if coalesce(heard, '{}') = coalesce(hears, '{}') then return null; end if;
  if not coalesce(hears, '{}') <@ coalesce(heard, '{}') then perform wait_for_batches(); end if;

  -- From here on, those who change this go one after the other: what they read is what the last one left.
  update window_state set interest_version = interest_version + 1;
  tenant := case tg_op when 'DELETE' then old.tenant_id else new.tenant_id end;
  select coalesce(bool_or('record.processed' = any (message_types)), false),
         coalesce(bool_or('usage.threshold' = any (message_types)), false)
    into records_now, usage_now
    from subscription where tenant_id = tenant and active;
  select * into was from tally_state where tenant_id = tenant;
  insert into tally_state as s (tenant_id, records, record_epoch, usage)
  values (tenant, records_now, 1, usage_now)
  on conflict (tenant_id) do update set
    record_epoch = s.record_epoch + (excluded.records and not s.records)::int,
    records = excluded.records,
    usage = excluded.usage
  returning record_epoch into now_epoch;
  if records_now and was.records is not true then
    insert into record_fill (tenant_id, epoch, received_before) values (tenant, now_epoch, clock_timestamp())
      on conflict do nothing; -- epoch 1 of a tenant that had nobody who listened to records
  end if;
  if usage_now and was.usage is not true then
    update alert_rule set epoch = epoch + 1, counted_from = latest_time() where tenant_id = tenant and kind = 'usage';
  end if;
  return null;
end $$;

revoke execute on function subscription_changed() from public;
