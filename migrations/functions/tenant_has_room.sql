-- revision 1, 23c39f76bf51
/*
 * Whether a tenant may have one more of what it has a limit for, most of them: 'meters' that are live, 'alert_rules',
 * 'subscriptions'. What has been made by transactions that ended before this is called is counted, and until this one
 * ends nobody else gets an answer for the tenant: two that ask at a time do not both get the last place.
 *
 * Raises 55P03 when others take too long.
 */
create or replace function tenant_has_room(tenant text, things text, most integer) returns boolean
language plpgsql set lock_timeout = '500ms' as $$
begin
  perform pg_advisory_xact_lock(hashtext('tidemark.' || things || '.' || tenant));
  return most > case things
    when 'meters' then (select count(*) from meter where tenant_id = tenant and archived_at is null)
    when 'alert_rules' then (select count(*) from alert_rule where tenant_id = tenant)
    when 'subscriptions' then (select count(*) from subscription where tenant_id = tenant and deleted_at is null)
  end;
end $$;

revoke execute on function tenant_has_room(text, text, integer) from public;
