-- revision 1, 7c58aa265929
/* The slot of a key: the column of event_key that it stands in. As in src/model/identityKey.ts; the same for ever. */
create or replace function identity_slot(key uuid) returns integer
language sql immutable parallel safe as $$
  select ((('x' || substr(key::text, 1, 8))::bit(32)
         # ('x' || substr(key::text, 10, 4) || substr(key::text, 15, 4))::bit(32)
         # ('x' || substr(key::text, 20, 4) || substr(key::text, 25, 4))::bit(32)
         # ('x' || substr(key::text, 29))::bit(32))::bigint & 2147483647)::integer % 7
$$;

revoke execute on function identity_slot(uuid) from public;
