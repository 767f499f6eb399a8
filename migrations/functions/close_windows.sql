-- revision 2, bc8a037a4af1
/*
 * Closes every window that ended more than 'grace' ago. The exclusive lock is granted once no batch is in its
 * transaction, so every batch that took one of these windows for open has committed; later ones see it closed.
 *
 * outcome: null, nothing was due; 'won', these windows are closed now; 'lost', another instance is at it or was
 * faster; 'held', a batch has been under way for longer than it is worth waiting, since new batches queue behind
 * a waiting closer. A batch whose process has sent nothing for 'stalled_after' is ended: its rows are rolled
 * back, and its writer, if it ever wakes up, writes them again.
 *
 * next_due_ms: from now to when the next window is due.
 *
 * Raises 55P03 when batches keep the lock for longer than 'patience'.
 */
create or replace function close_windows(
  grace interval, patience interval, stalled_after interval, out outcome text, out closed_until timestamptz, out
  next_due_ms double precision, out lock_wait_ms double precision, out lag_ms double precision
)
language plpgsql as $$
#variable_conflict use_column
declare
  due timestamptz := date_bin('30 seconds', clock_timestamp() - grace, 'epoch'::timestamptz);
  started timestamptz;
  batch record;
begin
  next_due_ms := extract(epoch from due + interval '30 seconds' + grace - clock_timestamp()) * 1000;
  select s.closed_until into closed_until from window_state s;
  if due <= close_windows.closed_until then return; end if;
  outcome := 'lost';
  if not pg_try_advisory_xact_lock(hashtext('tidemark.closer')) then return; end if;

  for batch in
    select a.pid, a.wait_event_type = 'Client'
        and greatest(a.xact_start, a.state_change) < clock_timestamp() - stalled_after as stalled
    from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and (l.classid::bigint << 32 | l.objid::bigint) = hashtext('tidemark.windows')
      and l.database = (select oid from pg_database where datname = current_database())
      and a.xact_start < clock_timestamp() - patience
  loop
    outcome := 'held';
    if batch.stalled then perform pg_terminate_backend(batch.pid); end if;
  end loop;
  if outcome = 'held' then return; end if;

  started := clock_timestamp();
  perform set_config('lock_timeout', ceil(extract(epoch from patience) * 1000)::text, true);
  perform pg_advisory_xact_lock(hashtext('tidemark.windows'));
  lock_wait_ms := extract(epoch from clock_timestamp() - started) * 1000;
  select extract(epoch from clock_timestamp() - s.closed_until - interval '30 seconds' - grace) * 1000
    into lag_ms from window_state s;
  update window_state s
    set closed_until = due, updated_at = clock_timestamp(),
        settled_at = greatest(s.settled_at + interval '1 millisecond',
                              date_trunc('milliseconds', clock_timestamp()))
    where s.closed_until < due;
  if found then outcome := 'won'; end if;
  if outcome = 'won' then
    insert into window_closing select s.settled_at, s.closed_until from window_state s;
    delete from window_closing where closed_at < clock_timestamp() - interval '60 days';
  end if;
  select s.closed_until into closed_until from window_state s;
end $$;

revoke execute on function close_windows(interval, interval, interval) from public;
