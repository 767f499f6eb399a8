-- revision 1, d511eb982c16
/* The secrets that sign at this moment, the present one first. Empty: a stream, or it has been deleted. */
create or replace function signing_secrets(endpoint uuid) returns text[]
language sql stable as $$
  select coalesce(array_agg(secret order by n), '{}') from (
    select secret, min(n) as n from (
      select s.secret, 0 as n from subscription s where s.id = endpoint
      union all
      select s.previous_secret, 1 from subscription s
      where s.id = endpoint and s.previous_secret_until > now()
      union all
      select r.value ->> 'secret', 1 + r.ordinality
      from subscription s, jsonb_array_elements(s.retired_secrets) with ordinality as r
      where s.id = endpoint and (r.value ->> 'until')::timestamptz > now()
    ) as every where secret is not null group by secret
  ) as signing
$$;

revoke execute on function signing_secrets(uuid) from public;
