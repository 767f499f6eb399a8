-- revision 1, cb089fb044a8
/*
 * Waits until every batch that has entered has ended; none enters before the end of this transaction. Raises 55P03
 * when one takes too long: new batches queue behind who waits.
 */
create or replace function wait_for_batches() returns void
language plpgsql set lock_timeout = '500ms' as $$
begin
  if exists (
    select from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.mode = 'ShareLock'
      and (l.classid::bigint << 32 | l.objid::bigint) = hashtext('tidemark.windows')
      and l.database = (select oid from pg_database where datname = current_database())
      and a.xact_start < clock_timestamp() - interval '500 milliseconds'
  ) then
    raise exception 'a batch has been under way for too long' using errcode = 'lock_not_available';
  end if;
  perform pg_advisory_xact_lock(hashtext('tidemark.windows'));
end $$;

revoke execute on function wait_for_batches() from public;
