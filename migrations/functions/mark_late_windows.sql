-- revision 2, 45e2a8952df9
/* revise_windows for the version before, which gives the windows as JSON. */
create or replace function mark_late_windows(windows jsonb) returns void
language plpgsql security definer set search_path from current as $$
begin
  perform record_late_windows(windows);
end $$;

revoke execute on function mark_late_windows(jsonb) from public;
grant execute on function mark_late_windows(jsonb) to tidemark_ingest;
