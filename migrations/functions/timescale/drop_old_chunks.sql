-- revision 1, d2d37f4decc1
/*
 * Drops the oldest chunks of a relation that lie wholly before its kept_from, at most 'most' of them. Waits no longer
 * than two seconds for those who read them, since others queue behind it; autovacuum gives way after one. Returns how
 * many it has dropped.
 */
create or replace function drop_old_chunks(pruned text, most integer) returns integer
language plpgsql set lock_timeout = '2s' as $$
declare
  until timestamptz;
begin
  select max(range_end) into until from (
    select c.range_end from retention_chunk c join retention r using (relation)
    where c.relation = pruned and c.range_end <= r.kept_from order by c.range_end limit most) as old;
  if until is null then return 0; end if;
  return (select count(*) from drop_chunks(pruned::regclass, older_than => until));
end $$;

revoke execute on function drop_old_chunks(text, integer) from public;
