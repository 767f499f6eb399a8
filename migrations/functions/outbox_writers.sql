-- revision 1, 1c919a39c223
/*
 * Transactions of this database that may have written to the outbox and have not ended, but for one's own, with
 * their ids; null: not known. Who inserts takes this lock of the table before a row gets its id, and holds it to the
 * end, prepared or not, whatever version of the service it is of.
 *
 * The locks come in no snapshot, and are looked at after that of the statement was taken. So what this does not
 * list has ended before, or takes the lock, hence ids of the outbox, later than anything that the snapshot shows.
 */
create or replace function outbox_writers() returns table (pid integer, virtualtransaction text, xid xid8)
language sql as $$
  with held as materialized (
    select l.locktype, l.transactionid, l.virtualtransaction, l.pid
    from pg_locks l
    where l.granted and (
      l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.relation = 'outbox'::regclass
        and l.database = (select oid from pg_database where datname = current_database())
      or l.locktype = 'transactionid' and l.mode = 'ExclusiveLock')
  )
  select w.pid, w.virtualtransaction,
    (select case when count(*) > 0 then coalesce(min(running), pg_snapshot_xmax(pg_current_snapshot())) end -- or has ended
     from held t left join pg_snapshot_xip(pg_current_snapshot()) as running on running::xid = t.transactionid
     where t.locktype = 'transactionid' and t.virtualtransaction = w.virtualtransaction)
  from held w
  where w.locktype = 'relation' and w.pid is distinct from pg_backend_pid()
$$;

revoke execute on function outbox_writers() from public;
