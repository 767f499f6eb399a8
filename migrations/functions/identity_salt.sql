-- revision 1, 90a7ada29814
/*
 * The salt of a tenant's keys: 80 bits in hex, the first of SHA-256 of the installation's secret and the tenant's id. As in
 * src/model/identityKey.ts.
 */
create or replace function identity_salt(tenant text) returns text language sql stable as $$
  select substr(encode(sha256(convert_to(identity_secret::text || tenant, 'UTF8')), 'hex'), 1, 20) from installation
$$;

revoke execute on function identity_salt(text) from public;
