-- revision 1, 91e66c33c32c
/* There are no chunks. */
create or replace function tenant_data.chunks_moved() returns boolean
language sql immutable as $$select false $$;

revoke execute on function tenant_data.chunks_moved() from public;
grant execute on function tenant_data.chunks_moved() to tidemark_read;
