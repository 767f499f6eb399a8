-- revision 1, 7b4a0eea22c2
/*
 * The moment itself, or an error where events from then on are no longer kept: a refresh from there would take what
 * is in the aggregate for gone. An argument of the refresh, so that nothing comes between the question and the
 * refresh. One of a bucket in the columnstore has to be able to unpack it, however many rows it has; and it is planned
 * without JIT, also where a connection pooler has no session to be told.
 */
create or replace function refreshed_from(since timestamptz) returns timestamptz
language plpgsql set plan_cache_mode = force_custom_plan as $$
declare
  oldest timestamptz;
begin
  select kept_from into oldest from retention where relation = 'event';
  if since < oldest then
    raise exception 'events before % are no longer kept, and what was made of them stays as it is', iso8601(oldest)
      using errcode = 'TM005';
  end if;
  perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', false),
          set_config('jit', 'off', false);
  return since;
end $$;

revoke execute on function refreshed_from(timestamptz) from public;
