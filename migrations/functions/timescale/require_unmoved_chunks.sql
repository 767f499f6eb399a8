-- revision 1, 12aff0650a1f
/* Raises TM006 where chunks have moved. */
create or replace function require_unmoved_chunks() returns void
language plpgsql as $$
begin
  if tenant_data.chunks_moved() then
    raise exception 'chunks have been rearranged since the snapshot' using errcode = 'TM006';
  end if;
end $$;

revoke execute on function require_unmoved_chunks() from public;
