-- revision 1, 236064821f33
/*
 * Removes what has been added up for an epoch that is over, and of which no message waits: up to 'most' rows.
 * Returns whether there may be more.
 */
create or replace function prune_record_history(most integer) returns boolean
language plpgsql as $$
declare
  old record_fill;
  removed bigint;
begin
  select f.* into old from record_fill f join tally_state s using (tenant_id)
    where f.epoch < s.record_epoch and f.whole
      and not exists (select from outbox o where o.tenant_id = f.tenant_id and o.awaits = f.epoch)
    limit 1 for update of f skip locked;
  if not found then return false; end if;
  delete from record_history where ctid = any (array(
    select ctid from record_history where tenant_id = old.tenant_id and epoch = old.epoch limit most));
  get diagnostics removed = row_count;
  if removed < most then
    delete from record_fill where tenant_id = old.tenant_id and epoch = old.epoch;
  end if;
  return true;
end $$;

revoke execute on function prune_record_history(integer) from public;
