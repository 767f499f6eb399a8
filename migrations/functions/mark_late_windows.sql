-- revision 1, d699ebdebe9d
/*
 * Records closed windows that this transaction changed (record_late_windows says how). What is no longer kept is not
 * added to either: the batch's lock keeps kept_from where it is.
 */
create or replace function mark_late_windows(windows jsonb) returns void
language plpgsql security definer set search_path from current as $$
declare
  oldest timestamptz;
begin
  select kept_from into oldest from retention where relation = 'event';
  if oldest > '-infinity' and exists (
    select from jsonb_to_recordset(windows) as w (bucket timestamptz) where w.bucket < oldest
  ) then
    raise exception 'events before % are no longer kept', iso8601(oldest) using errcode = 'datetime_field_overflow';
  end if;
  perform record_late_windows(windows);
end $$;

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function mark_late_windows(jsonb) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function mark_late_windows(jsonb) from public;
grant execute on function mark_late_windows(jsonb) to tidemark_ingest;
