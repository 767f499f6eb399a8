import type { Queryable } from '../../ground/db/queryable.ts';
import { type Actor, writeEntries } from './auditLog.ts';

/** What is revoked. */
export interface Revoked {
  table: 'api_key' | 'portal_token';
  /** Of its entries in the audit log. */
  action: 'key.revoked' | 'portal_token.revoked';
  /** Which rows, as SQL over `values`: `$1` is the first of them. */
  condition: string;
  values: readonly unknown[];
}

/**
 * Revokes keys or tokens for good, with an entry in the audit log for each. What has been revoked before stays as it was,
 * and has none.
 *
 * @returns how many there are of them, those revoked before among them.
 */
export async function revoke(
  db: Queryable,
  { table, action, condition, values }: Revoked,
  actor: Actor,
): Promise<number> {
  const { rowCount } = await db.query(
    `with old as (
       select id as old_id, revoked_at as old_revoked_at from ${table} where ${condition} for update
     ), changed as (
       update ${table} set revoked_at = coalesce(revoked_at, now()), updated_at = now()
       from old where id = old_id returning id, tenant_id, old_revoked_at, revoked_at
     ), logged as (${writeEntries({
       from: 'changed',
       action,
       before: `jsonb_build_object('revokedAt', iso8601(old_revoked_at))`,
       after: `jsonb_build_object('revokedAt', iso8601(revoked_at))`,
       actor: `$${values.length + 1}`,
     })})
     select id from changed`,
    [...values, JSON.stringify(actor)],
  );
  return rowCount ?? 0;
}
