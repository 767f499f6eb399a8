-- revision 1, 3343f343025e
/* Registers customers that the writer has not seen before. */
create or replace function register_customers(customers jsonb) returns void
language sql security definer set search_path from current as $$
  insert into customer (tenant_id, external_id)
  select c.tenant_id, c.external_id
  from jsonb_to_recordset(customers) as c (tenant_id text, external_id text)
  order by 1, 2
  on conflict do nothing
$$;

revoke execute on function register_customers(jsonb) from public;
grant execute on function register_customers(jsonb) to tidemark_ingest;
