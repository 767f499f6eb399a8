-- revision 1, 240fd5d34965
/*
 * Records closed windows that late events of this transaction changed, and tells who wants to hear of it: record_revisions
 * says what of.
 *
 * What is no longer kept is not added to: the batch's lock keeps kept_from where it is.
 */
create or replace function revise_windows(
  tenants text[], customers text[], numbers bigint[], with_references boolean[],
  events integer[], tokens numeric[], input_tokens numeric[], output_tokens numeric[], "values" numeric[]
) returns void
language plpgsql security definer set search_path from current as $$
declare
  oldest timestamptz;
begin
  select kept_from into oldest from retention where relation = 'event';
  if oldest > '-infinity' and to_timestamp((select min(number) from unnest(numbers) as number) * 30) < oldest then
    raise exception 'events before % are no longer kept', iso8601(oldest) using errcode = 'datetime_field_overflow';
  end if;
  perform tell_revisions(changed_buckets, changed_tenants, changed_customers, changed_revisions)
  from record_revisions(tenants, customers, numbers, with_references, null, null,
                        events, tokens, input_tokens, output_tokens, "values", events);
end $$;

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function revise_windows(text[], text[], bigint[], boolean[], integer[], numeric[], numeric[], numeric[], numeric[])
      set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function revise_windows(text[], text[], bigint[], boolean[], integer[], numeric[], numeric[], numeric[],
  numeric[]) from public;
grant execute on function revise_windows(text[], text[], bigint[], boolean[], integer[], numeric[], numeric[], numeric[],
  numeric[]) to tidemark_ingest;
