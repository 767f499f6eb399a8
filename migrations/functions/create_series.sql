-- revision 1, 06e0121fe862
/*
 * The live series of a tenant with this definition, made where there is none: every batch that enters after this
 * transaction feeds it, and none before. made is {eventType, eventFrom, filter, paths, value, distinct}, key its
 * digest. successor_of: a series with fewer paths and otherwise the same, which is read where events are no longer kept.
 *
 * One at a time for each tenant, and not beside retire_unused_series. Raises 55P03 when a batch takes too long.
 */
create or replace function create_series(
  tenant text, made jsonb, key bytea, successor_of integer default null
) returns integer
language plpgsql set lock_timeout = '500ms' set plan_cache_mode = force_custom_plan as $$
declare
  series integer;
  counts_from timestamptz := (made ->> 'eventFrom')::timestamptz;
begin
  perform pg_advisory_xact_lock(hashtext('tidemark.meters.' || tenant));
  select id into series from meter_series where tenant_id = tenant and digest = key and retired_at is null;
  if found then return series; end if;
  perform wait_for_batches();
  insert into meter_series (
    tenant_id, definition, digest, event_type, event_from, filter, paths, value_path, is_distinct, predecessor, fill_floor
  )
  select tenant, made, key, made ->> 'eventType', counts_from, made -> 'filter',
    array(select jsonb_array_elements_text(made -> 'paths')), made ->> 'value', (made ->> 'distinct')::boolean, successor_of,
    greatest(kept_from, date_bin('30 seconds', counts_from, 'epoch'::timestamptz))
  from retention where relation = 'event'
  returning id into series;
  update window_state set interest_version = interest_version + 1;
  return series;
end $$;

revoke execute on function create_series(text, jsonb, bytea, integer) from public;
