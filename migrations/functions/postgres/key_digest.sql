-- revision 1, 7caa0af1f9cd
/*
 * What unique indexes have in place of long texts, which an index entry has no room for. No two lists of texts have the
 * same: before each stands its length. Immutable because a database never changes its encoding.
 *
 * It is in indexes: what it returns must not change.
 */
create or replace function key_digest(a text, b text, c text default null) returns bytea
language plpgsql immutable parallel safe as $$
begin
  return sha256(convert_to(
    coalesce(length(a) || ':' || a, '-') || coalesce(length(b) || ':' || b, '-') || coalesce(length(c) || ':' || c, '-'),
    'UTF8'));
end $$;

revoke execute on function key_digest(text, text, text) from public;
