import { asOwner } from './support/owner.js';

/** Every secret that a webhook has had signs for 24 hours from its replacement, however often it is replaced. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    -- [{secret, until}], newest first: all of them sign beside 'secret'. The instances of the version before look at
    -- previous_secret, which is the first of these.
    alter table subscription add column retired_secrets jsonb not null default '[]';
    update subscription
      set retired_secrets = jsonb_build_array(
        jsonb_build_object('secret', previous_secret, 'until', previous_secret_until))
      where previous_secret is not null and previous_secret_until > now();

    -- A trigger, since instances of the version before replace secrets too.
    create function retire_secret() returns trigger language plpgsql as $$
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
    create trigger subscription_secret before update of secret on subscription
      for each row execute function retire_secret();

    -- The secrets that sign at this moment, the present one first. Empty: a stream, or it has been deleted.
    create function signing_secrets(endpoint uuid) returns text[] language sql stable as $$
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

    revoke execute on function retire_secret(), signing_secrets(uuid) from public;
  `);
};
