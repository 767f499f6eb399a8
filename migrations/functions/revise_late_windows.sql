-- revision 1, 069dfbcc0285
/* Records closed windows that late events have changed, each of them a call: record_revisions says how. */
create or replace function revise_late_windows(
  tenants text[], customers text[], numbers bigint[], with_references boolean[],
  events integer[], tokens numeric[], input_tokens numeric[], output_tokens numeric[], added numeric[]
) returns void
language plpgsql security definer set search_path from current as $$
begin
  perform record_revisions(tenants, customers, numbers, with_references, 'late', null,
    events, events::bigint[], tokens, input_tokens, output_tokens, added);
end $$;

revoke execute on function revise_late_windows(
  text[], text[], bigint[], boolean[], integer[], numeric[], numeric[], numeric[], numeric[]
) from public;
grant execute on function revise_late_windows(
  text[], text[], bigint[], boolean[], integer[], numeric[], numeric[], numeric[], numeric[]
) to tidemark_ingest;
