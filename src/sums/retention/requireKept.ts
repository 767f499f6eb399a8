import type { Queryable } from '../../ground/db/queryable.ts';

/**
 * Refuses to read a relation from before it is kept. Asked before the read is early enough: what is no longer kept is
 * removed only once every read that began before has ended (`removeAfterMs`).
 *
 * @param since in ms since the epoch.
 * @throws TM005, which becomes `range_not_kept`.
 */
export async function requireKept(
  db: Queryable,
  relation: 'event' | 'usage_30s' | 'usage_1h' | 'usage_1d',
  since: number,
): Promise<void> {
  await db.query({
    name: 'require kept',
    text: 'select from tenant_data.require_kept($1, $2)',
    values: [relation, new Date(since)],
  });
}
