-- revision 1, a8f6c1244efd
/*
 * Whether chunks have been packed, unpacked, rewritten or dropped since the snapshot at hand: what has been planned
 * since then may have left out rows that the snapshot shows. Each of these changes the row of the chunk or of its
 * settings. New chunks are no harm: the snapshot shows nothing of them.
 *
 * A snapshot does not list subtransactions. Whether one that is not among those at work had ended, nobody can say:
 * then the state decides.
 */
create or replace function tenant_data.chunks_moved() returns boolean
language plpgsql stable as $$
begin
  if not exists (select from _timescaledb_catalog.chunk where xmax <> '0' and xmax <> xmin)
     and not exists (select from _timescaledb_catalog.compression_settings where xmax <> '0' and xmax <> xmin)
  then return false; end if;
  return exists (
    select from _timescaledb_catalog.compression_settings where tenant_data.replaced_by(xmin, xmax) is not null
    union all
    select from (
      select to_jsonb(c) as chunk, c.status, tenant_data.replaced_by(c.xmin, c.xmax) as replacer
      from _timescaledb_catalog.chunk c
    ) as replaced
    where replacer is not null and (not pg_visible_in_snapshot(replacer, pg_current_snapshot())
                              or tenant_data.chunk_state_now(chunk) is distinct from status));
end $$;

revoke execute on function tenant_data.chunks_moved() from public;
grant execute on function tenant_data.chunks_moved() to tidemark_read;
