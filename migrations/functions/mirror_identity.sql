-- revision 2, 102968e74cc1
/*
 * Claims the key of what a writer of the version before puts into event_identity, so that writers of both know of each
 * other's ids. What is known is refused to a COPY, as its own table would; an INSERT ... ON CONFLICT is to leave it out.
 */
create or replace function mirror_identity() returns trigger
language plpgsql security definer set search_path from current as $$
declare
  key uuid := salted_identity(new.event_id, identity_salt(new.tenant_id));
  slot integer := identity_slot(key);
begin
  insert into event_key (key_0, key_1, key_2, key_3, key_4, key_5, key_6)
  values (
    case slot when 0 then key end,
    case slot when 1 then key end,
    case slot when 2 then key end,
    case slot when 3 then key end,
    case slot when 4 then key end,
    case slot when 5 then key end,
    case slot when 6 then key end
  )
  on conflict do nothing;
  if found then return new; end if;
  if current_query() ~* '\mon\s+conflict\M' then return null; end if;
  raise exception 'the id % is known', new.event_id using errcode = 'unique_violation';
end $$;

revoke execute on function mirror_identity() from public;
