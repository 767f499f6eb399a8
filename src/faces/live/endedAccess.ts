import type { Queryable } from '../../ground/db/queryable.ts';
import type { ErrorCode } from '../../model/errors.ts';

/** Why somebody may look no longer. */
export type Ended = Extract<ErrorCode, 'key_unknown' | 'key_revoked' | 'key_expired' | 'tenant_inactive'>;

/**
 * Which of the keys and tenants have ended, and why, in one statement.
 *
 * @param keys ids. @param tenants that platform keys look at.
 */
export async function endedAccess(
  db: Queryable,
  keys: readonly string[],
  tenants: readonly string[],
): Promise<{ keys: Map<string, Ended>; tenants: Set<string> }> {
  const { rows } = await db.query<{ key: string | null; tenant: string | null; why: Ended }>(
    `select asked.id::text as key, null as tenant,
       case when k.id is null then 'key_unknown' when k.revoked_at is not null then 'key_revoked'
            when k.expires_at <= now() then 'key_expired' else 'tenant_inactive' end as why
     from unnest($1::uuid[]) as asked (id)
     left join api_key k on k.id = asked.id left join tenant t on t.id = k.tenant_id
     where k.id is null or k.revoked_at is not null or k.expires_at <= now() or not t.active
     union all
     select null, id, 'tenant_inactive' from tenant where id = any ($2) and not active`,
    [keys, tenants],
  );
  const ended = { keys: new Map<string, Ended>(), tenants: new Set<string>() };
  for (const { key, tenant, why } of rows) {
    if (key !== null) ended.keys.set(key, why);
    else ended.tenants.add(tenant!);
  }
  return ended;
}
