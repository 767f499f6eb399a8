-- revision 1, fb2ad0773498
/* Refuses to change or remove entries of the audit log. */
create or replace function keep_audit_log() returns trigger
language plpgsql as $$
begin
  raise exception 'the audit log is only added to' using errcode = 'TM003';
end $$;

revoke execute on function keep_audit_log() from public;
