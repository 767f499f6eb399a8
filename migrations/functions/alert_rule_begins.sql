-- revision 2, 52b465ea9922
/*
 * Before a row of alert_rule: a rule begins, or compares something else from now on. One of a meter needs it live (TM007);
 * meter_archived sees to it that it stays so.
 */
create or replace function alert_rule_begins() returns trigger
language plpgsql as $$
begin
  if tg_op = 'INSERT' and new.meter_id is not null then
    perform from meter where id = new.meter_id for key share;
    perform pg_advisory_xact_lock(hashtext('tidemark.meters.' || new.tenant_id));
    if not exists (
      select from meter where id = new.meter_id and tenant_id = new.tenant_id and archived_at is null
    ) then
      raise exception 'the meter is archived' using errcode = 'TM007';
    end if;
  end if;
  if not new.active then return new; end if;
  if tg_op = 'UPDATE' and old.active and (new.threshold, new.customers) is not distinct from (old.threshold, old.customers)
  then return new; end if;
  perform wait_for_batches();
  new.epoch := case tg_op when 'UPDATE' then old.epoch + 1 else 1 end;
  new.counted_from := latest_time();
  return new;
end $$;

revoke execute on function alert_rule_begins() from public;
