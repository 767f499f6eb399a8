-- revision 1, 6c650bf9adf6
/*
 * Who holds messages back: 'outbox', a transaction that may have written to it, since before the oldest message that
 * waits could be sent; 'fan_out', who makes deliveries and does not end; 'batches', who keeps windows from closing.
 * One's own left out. A prepared transaction has no process, and is known by its name.
 */
create or replace function holders(of_lock text) returns table (
  pid integer, prepared text, application text, login text, since timestamptz, state text, xid xid8
)
language sql as $$
  with held as (
    select w.pid, w.virtualtransaction, w.xid from outbox_writers() w
    where of_lock = 'outbox' and (w.xid is null or w.xid <= (
      select min(o.xid) from outbox o where o.fanned_out_at is null and o.awaits is null))
    union all
    select l.pid, l.virtualtransaction, null
    from pg_locks l
    where of_lock <> 'outbox' and l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and (l.classid::bigint << 32 | l.objid::bigint)::bigint
        = (hashtext(case of_lock when 'batches' then 'tidemark.windows' else 'tidemark.' || of_lock end)::bigint)
      and l.database = (select oid from pg_database where datname = current_database())
      and l.pid is distinct from pg_backend_pid()
  )
  select h.pid, p.gid, a.application_name, coalesce(a.usename::text, p.owner::text),
    coalesce(a.xact_start, p.prepared), a.state, h.xid
  from held h
  left join pg_stat_activity a on a.pid = h.pid
  left join pg_prepared_xacts p on h.pid is null and exists (
    select from pg_locks l where l.virtualtransaction = h.virtualtransaction and l.locktype = 'transactionid'
      and l.mode = 'ExclusiveLock' and l.transactionid = p.transaction)
  order by 5 nulls last
$$;

revoke execute on function holders(text) from public;
