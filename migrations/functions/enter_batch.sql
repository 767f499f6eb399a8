-- revision 2, a8029bddc68b
/*
 * begin_batch for the version before, which feeds no meters: it is refused with TM004 from the first series on, and keeps
 * asking until it gives the batch up.
 */
create or replace function enter_batch(
  open_from timestamptz, interest bigint, out closed_until timestamptz, out xid xid8
)
language plpgsql security definer set search_path from current as $$
begin
  select b.closed_until, b.xid into closed_until, xid from begin_batch(open_from, interest) as b;
  if exists (select from meter_series where retired_at is null) then
    raise exception 'there are meters, which this version does not feed' using errcode = 'TM004';
  end if;
end $$;

revoke execute on function enter_batch(timestamptz, bigint) from public;
grant execute on function enter_batch(timestamptz, bigint) to tidemark_ingest;
