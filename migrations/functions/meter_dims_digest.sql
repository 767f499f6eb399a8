-- revision 1, 97347b6ef3fb
/*
 * What unique indexes have in place of dimension values, which an index entry has no room for: no two lists have the same.
 * It is stored: what it returns must not change.
 */
create or replace function meter_dims_digest(dims text[]) returns uuid
language plpgsql immutable parallel safe as $$
begin
  return encode(substr(sha256(convert_to(dims::text, 'UTF8')), 1, 16), 'hex')::uuid;
end $$;

revoke execute on function meter_dims_digest(text[]) from public;
