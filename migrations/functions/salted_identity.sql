-- revision 1, 5e064ead968e
/*
 * The key of an event: its id, the last 80 bits XORed with the salt of its tenant (identity_salt). As in
 * src/model/identityKey.ts; the same for ever.
 */
create or replace function salted_identity(id uuid, salt text) returns uuid
language sql immutable parallel safe as $$
  select (substr(id::text, 1, 14)
    || lpad(to_hex((('x' || substr(id::text, 15, 4))::bit(16) # ('x' || substr(salt, 1, 4))::bit(16))::integer), 4, '0')
    || lpad(to_hex((('x' || substr(id::text, 20, 4) || substr(id::text, 25))::bit(64)
                    # ('x' || substr(salt, 5))::bit(64))::bigint), 16, '0'))::uuid
$$;

revoke execute on function salted_identity(uuid, text) from public;
