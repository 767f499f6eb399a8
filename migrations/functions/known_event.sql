-- revision 1, 07026b320f8a
/* Whether an event's id has been counted for a tenant and is still known; also while ids of before are being moved. */
create or replace function known_event(tenant text, id uuid) returns boolean language plpgsql stable as $$
begin
  return known_key(salted_identity(id, identity_salt(tenant)))
    or exists (select from event_identity where event_id = id and tenant_id = tenant);
end $$;

revoke execute on function known_event(text, uuid) from public;
