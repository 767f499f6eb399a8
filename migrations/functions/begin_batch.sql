-- revision 2, 0f7a2d58603e
/*
 * Joins the batch to the open windows. The shared lock makes the closer wait for this transaction; each
 * statement of a volatile function sees a snapshot of its own, so closed_until is read after the lock is held.
 * The writer takes every window that starts at or after open_from for open: if one of them has closed since,
 * the batch is refused with TM001 before a row of it is stored, and the writer asks again. Likewise with TM004 when
 * what the writer knows of who listens, and of what meters keep, has changed. The lock is held by then, so it cannot
 * change until the batch has ended.
 *
 * A batch that began before windows last closed, and was not in yet, is refused with TM001 as well: what was received up to
 * settled_at stays what it is (docs/adr/0048). Not where the clock has been set back: no batch would get in.
 *
 * The settings are those of the transaction, since behind a connection pooler there is no session. Whatever the
 * server's default says, an acknowledged event is on disk; and a backend whose writer has gone does not hold its locks
 * for long.
 */
create or replace function begin_batch(
  open_from timestamptz, interest bigint, out closed_until timestamptz, out xid xid8
)
language plpgsql security definer set search_path from current as $$
declare
  version bigint;
  settled timestamptz;
begin
  perform set_config('idle_in_transaction_session_timeout', '30s', true),
          set_config('client_connection_check_interval', '1s', true);
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  perform pg_advisory_xact_lock_shared(hashtext('tidemark.windows'));
  select s.closed_until, s.interest_version, s.settled_at into closed_until, version, settled from window_state s;
  if closed_until > open_from then
    raise exception 'a window of this batch closed at %', closed_until using errcode = 'TM001';
  end if;
  if now() <= settled and clock_timestamp() > settled then
    raise exception 'this batch began before windows closed at %', settled using errcode = 'TM001';
  end if;
  if version <> interest then
    raise exception 'who listens has changed: version %', version using errcode = 'TM004';
  end if;
  xid := pg_current_xact_id();
end $$;

revoke execute on function begin_batch(timestamptz, bigint) from public;
grant execute on function begin_batch(timestamptz, bigint) to tidemark_ingest;
