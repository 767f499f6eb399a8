-- revision 1, 2a2ced47d67f
/* write_closed_windows, of one moment where it is called in one snapshot: else TM006. */
create or replace function announce_closed_windows(most integer) returns boolean
language plpgsql as $$
declare
  more boolean := write_closed_windows(most);
begin
  perform require_unmoved_chunks();
  return more;
end $$;

revoke execute on function announce_closed_windows(integer) from public;
