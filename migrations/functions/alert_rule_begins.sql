-- revision 1, 1c2bfb6dab5a
/* Before a row of alert_rule: a rule begins, or compares something else from now on. */
create or replace function alert_rule_begins() returns trigger
language plpgsql as $$
begin
  if not new.active then return new; end if;
  if tg_op = 'UPDATE' and old.active and (new.threshold, new.customers) is not distinct from (old.threshold, old.customers)
  then return new; end if;
  perform wait_for_batches();
  new.epoch := case tg_op when 'UPDATE' then old.epoch + 1 else 1 end;
  new.counted_from := latest_time();
  return new;
end $$;

revoke execute on function alert_rule_begins() from public;
