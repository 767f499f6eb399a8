-- revision 1, 36f35e4f9d28
/* The tenant this transaction reads for. Not to have one is an error, never an empty answer. */
create or replace function tenant_data.current_tenant() returns text
language plpgsql stable parallel safe as $$
declare
  tenant text := current_setting('tidemark.tenant_id', true);
begin
  if tenant is null or tenant = '' then
    raise exception 'no tenant context: tidemark.tenant_id is not set' using errcode = 'TM002';
  end if;
  return tenant;
end $$;

grant execute on function tenant_data.current_tenant() to public;
