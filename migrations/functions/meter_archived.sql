-- revision 1, f398dd257f02
/*
 * Before a meter is archived: no alert rule may compare it (TM007). One after the other with alert_rule_begins, which looks
 * whether the meter is live; both have the row of the meter first.
 */
create or replace function meter_archived() returns trigger
language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtext('tidemark.meters.' || new.tenant_id));
  if exists (select from alert_rule where tenant_id = new.tenant_id and meter_id = new.id) then
    raise exception 'alert rules compare the meter %', new.slug using errcode = 'TM007';
  end if;
  return new;
end $$;

revoke execute on function meter_archived() from public;
