-- revision 1, 519a30aa5934
/*
 * The tenants that usage_30s has rows of, each by one step through its index: not all who have any are known to the table
 * tenant, which those who insert events by hand need not ask.
 */
create or replace function usage_tenants() returns setof text
language sql stable as $$
  with recursive found (id) as (
    select min(tenant_id) from usage_30s
    union all
    select (select min(u.tenant_id) from usage_30s u where u.tenant_id > found.id) from found where found.id is not null
  )
  select id from found where id is not null
$$;

revoke execute on function usage_tenants() from public;
