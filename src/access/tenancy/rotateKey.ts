import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import { type Actor, COMMAND, writeEntries } from './auditLog.ts';
import { type ApiKey, KEY_COLUMNS, type KeyRow, NEW_KEY_STATE, toKey } from './keys.ts';
import { generateKey, hashKey } from './secrets.ts';

export interface Rotation {
  /** Whose key it must be, or null for any. */
  tenantId: string | null;
  id: string;
  /** How long the old key goes on, in s; never past its own end. 0: it ends now. */
  overlapSeconds: number;
}

/**
 * Makes a key that takes the place of another: of the same tenant, with the same scopes, and living as long from now
 * as the old one was made to live. Its secret is returned here and never again.
 *
 * @throws {TidemarkError} `not_found`; `key_not_rotatable` for a key that is revoked, expired or already replaced.
 */
export async function rotateKey(
  db: Queryable,
  rotation: Rotation,
  actor: Actor = COMMAND,
): Promise<ApiKey & { key: string }> {
  const secret = generateKey();
  const { rows } = await db.query<KeyRow & { fault: string | null }>(
    `with old as (
       select id as old_id, tenant_id, scopes, expires_at, expires_at - created_at as lifetime,
              case when revoked_at is not null then 'has been revoked'
                   when expires_at <= now() then 'has expired'
                   when replaced_by is not null then 'has been replaced already' end as fault
       from api_key where id = $1 and ($2::text is null or tenant_id = $2) for update
     ), made as (
       insert into api_key (id, tenant_id, secret_hash, scopes, expires_at, replaces)
       select $3, tenant_id, $4, scopes, now() + lifetime, old_id from old where fault is null
       returning ${KEY_COLUMNS}
     ), changed as (
       update api_key k
       set expires_at = least(k.expires_at, now() + $5 * interval '1 second'), replaced_by = made.id, updated_at = now()
       from made, old where k.id = made.replaces and old_id = made.replaces
       returning k.id, k.tenant_id, old.expires_at as old_expires_at, k.expires_at, k.replaced_by
     ), logged_made as (${writeEntries({
       from: 'made',
       action: 'key.created',
       after: NEW_KEY_STATE,
       actor: '$6',
     })}
     ), logged_change as (${writeEntries({
       from: 'changed',
       action: 'key.rotated',
       before: `jsonb_build_object('expiresAt', iso8601(old_expires_at), 'replacedBy', null)`,
       after: `jsonb_build_object('expiresAt', iso8601(expires_at), 'replacedBy', replaced_by)`,
       actor: '$6',
     })})
     select fault, made.* from old left join made on made.replaces = old_id`,
    [
      rotation.id,
      rotation.tenantId,
      randomUUID(),
      hashKey(secret),
      rotation.overlapSeconds,
      JSON.stringify(actor),
    ],
  );
  const row = rows[0];
  if (!row) throw new TidemarkError('not_found', 'there is no such key');
  if (row.fault !== null) throw new TidemarkError('key_not_rotatable', `the key ${row.fault}`);
  return { ...toKey(row), key: secret };
}
