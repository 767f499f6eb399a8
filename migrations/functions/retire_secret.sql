-- revision 1, ad97008aa170
/*
 * Before the secret of a subscription is replaced: the old one signs for 24 hours from now. A trigger, since instances
 * of the version before replace secrets too.
 */
create or replace function retire_secret() returns trigger
language plpgsql as $$
begin
  if new.secret is null then
    new.retired_secrets := '[]'; -- deleted
  elsif old.secret is distinct from new.secret then
    select coalesce(jsonb_agg(kept order by n), '[]') into new.retired_secrets from (
      select jsonb_build_object('secret', old.secret, 'until', now() + interval '24 hours') as kept, 0 as n
      where old.secret is not null
      union all
      select value, ordinality from jsonb_array_elements(old.retired_secrets) with ordinality
      where (value ->> 'until')::timestamptz > now() and value ->> 'secret' <> new.secret
    ) as retired;
  end if;
  return new;
end $$;

revoke execute on function retire_secret() from public;
