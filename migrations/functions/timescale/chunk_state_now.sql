-- revision 1, 16cd0dd9cb3f
/*
 * A chunk's state now, whatever the snapshot at hand shows; null: it is gone. Its row as jsonb, since updates of
 * TimescaleDB change that table: from 2.29 on it has relid in place of the name.
 */
create or replace function tenant_data.chunk_state_now(chunk jsonb) returns integer
language plpgsql as $$
declare
  name text := coalesce(chunk ->> 'relid', format('%I.%I', chunk ->> 'schema_name', chunk ->> 'table_name'));
  relation regclass := to_regclass(name);
begin
  if pg_relation_filenode(relation) is null then return null; end if;
  return _timescaledb_functions.chunk_status(relation);
end $$;

revoke execute on function tenant_data.chunk_state_now(jsonb) from public;
grant execute on function tenant_data.chunk_state_now(jsonb) to tidemark_read;
