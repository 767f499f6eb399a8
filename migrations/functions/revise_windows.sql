-- revision 2, 39093ac51c8b
/* Records closed windows that late events have changed, of whoever does not tell by how much: record_revisions says how. */
create or replace function revise_windows(
  tenants text[], customers text[], numbers bigint[], with_references boolean[]
) returns void
language plpgsql security definer set search_path from current as $$
begin
  perform record_revisions(tenants, customers, numbers, with_references, 'late', null, null, null, null, null, null, null);
end $$;

revoke execute on function revise_windows(text[], text[], bigint[], boolean[]) from public;
grant execute on function revise_windows(text[], text[], bigint[], boolean[]) to tidemark_ingest;
