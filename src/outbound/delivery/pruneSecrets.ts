import type { Queryable } from '../../ground/db/queryable.ts';

/** Subscriptions cleared in one statement. */
const ROWS_PER_STEP = 1_000;

/**
 * Forgets the secrets of webhooks that have been replaced and sign no longer.
 *
 * @returns whether there may be more.
 */
export async function pruneSecrets(db: Queryable): Promise<boolean> {
  const { rowCount } = await db.query(
    `with old as (
       select id from subscription
       where previous_secret_until <= now()
          or exists (select from jsonb_array_elements(retired_secrets) where (value ->> 'until')::timestamptz <= now())
       limit $1 for update skip locked
     )
     update subscription s set
       previous_secret = case when previous_secret_until > now() then previous_secret end,
       previous_secret_until = case when previous_secret_until > now() then previous_secret_until end,
       retired_secrets = (
         select coalesce(jsonb_agg(value order by ordinality), '[]')
         from jsonb_array_elements(s.retired_secrets) with ordinality
         where (value ->> 'until')::timestamptz > now())
     from old where s.id = old.id`,
    [ROWS_PER_STEP],
  );
  return rowCount === ROWS_PER_STEP;
}
