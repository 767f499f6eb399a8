-- revision 1, 01261bdf8d92
/*
 * After a statement on alert_rule: what writers know of the rules is old from now on, and enter_batch refuses them
 * until they have read it anew.
 */
create or replace function alert_rule_changed() returns trigger
language plpgsql set lock_timeout = '500ms' as $$
begin
  update window_state set interest_version = interest_version + 1;
  return null;
end $$;

revoke execute on function alert_rule_changed() from public;
