-- revision 1, df1aa40d2cfc
/* The members of two sets, each once; null where both are null. */
create or replace function join_members(a uuid[], b uuid[]) returns uuid[]
language plpgsql immutable parallel safe as $$
begin
  if a is null or b is null then return coalesce(a, b); end if;
  return array(select unnest(a) union select unnest(b) order by 1);
end $$;

revoke execute on function join_members(uuid[], uuid[]) from public;
