import { randomUUID } from 'node:crypto';
import { byAge, listByAge } from '../../ground/db/listByAge.ts';
import type { Page } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import { type Actor, COMMAND, writeEntries } from './auditLog.ts';
import type { Scope } from './caller.ts';
import { revoke } from './revoke.ts';
import { generateKey, hashKey } from './secrets.ts';

/** A key without its secret. */
export interface ApiKey {
  id: string;
  /** Null: a platform key. */
  tenantId: string | null;
  scopes: Scope[];
  expiresAt: string | null;
  lastUsedAt: string | null;
  revokedAt: string | null;
  /** The key whose place this one took, and the one that took its place. */
  replaces: string | null;
  replacedBy: string | null;
  createdAt: string;
}

export interface KeyRow {
  id: string;
  tenant_id: string | null;
  scopes: Scope[];
  expires_at: Date | null;
  last_used_at: Date | null;
  revoked_at: Date | null;
  replaces: string | null;
  replaced_by: string | null;
  created_at: Date;
}

export const KEY_COLUMNS =
  'id, tenant_id, scopes, expires_at, last_used_at, revoked_at, replaces, replaced_by, created_at';

const KEYS = byAge('keys');

export interface NewKey {
  tenantId: string | null;
  scopes: Scope[];
  expiresAt?: Date | undefined;
}

/** What the audit log says of a new key. */
export const NEW_KEY_STATE = `jsonb_build_object(
  'scopes', to_jsonb(scopes), 'expiresAt', iso8601(expires_at), 'replaces', replaces)`;

/**
 * Makes a key. Its secret is returned here and never again.
 *
 * @param secret a key made elsewhere, for the demo tenant; otherwise one is generated.
 * @throws {TidemarkError} `tenant_unknown`.
 */
export async function createKey(
  db: Queryable,
  key: NewKey,
  actor: Actor = COMMAND,
  secret = generateKey(),
): Promise<ApiKey & { key: string }> {
  const { rows } = await db.query<KeyRow>(
    `with made as (
       insert into api_key (id, tenant_id, secret_hash, scopes, expires_at)
       select $1, $2, $3, $4, $5 where $2::text is null or exists (select from tenant where id = $2)
       returning ${KEY_COLUMNS}
     ), logged as (${writeEntries({
       from: 'made',
       action: 'key.created',
       after: NEW_KEY_STATE,
       actor: '$6',
     })})
     select * from made`,
    [randomUUID(), key.tenantId, hashKey(secret), key.scopes, key.expiresAt ?? null, JSON.stringify(actor)],
  );
  if (!rows[0]) throw new TidemarkError('tenant_unknown', 'there is no such tenant');
  return { ...toKey(rows[0]), key: secret };
}

/** Keys by age, oldest first; of one tenant, or of all (null). @throws {TidemarkError} `cursor_invalid`. */
export async function listKeys(
  db: Queryable,
  tenantId: string | null,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<ApiKey>> {
  const rows = {
    columns: KEY_COLUMNS,
    table: 'api_key',
    condition: '($4::text is null or tenant_id = $4)',
    values: [tenantId],
  };
  const page = await listByAge<KeyRow>(db, KEYS, rows, query);
  return { data: page.data.map(toKey), nextCursor: page.nextCursor };
}

/**
 * Revokes a key for good. Revoking twice is no error.
 *
 * @param tenantId whose key it must be, or null for any.
 * @throws {TidemarkError} `not_found`.
 */
export async function revokeKey(
  db: Queryable,
  tenantId: string | null,
  id: string,
  actor: Actor = COMMAND,
): Promise<void> {
  const condition = 'id = $1 and ($2::text is null or tenant_id = $2)';
  const which = { table: 'api_key', action: 'key.revoked', condition, values: [id, tenantId] } as const;
  if ((await revoke(db, which, actor)) === 0) throw new TidemarkError('not_found', 'there is no such key');
}

/** When a key ends by itself, in ms since the epoch; null: never; undefined: it has been revoked, or is not there. */
export async function endOfKey(db: Queryable, id: string): Promise<number | null | undefined> {
  const { rows } = await db.query<{ expires_at: Date | null }>(
    'select expires_at from api_key where id = $1 and revoked_at is null',
    [id],
  );
  return rows[0] && (rows[0].expires_at?.getTime() ?? null);
}

export function toKey(row: KeyRow): ApiKey {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    scopes: row.scopes,
    expiresAt: row.expires_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    revokedAt: row.revoked_at?.toISOString() ?? null,
    replaces: row.replaces,
    replacedBy: row.replaced_by,
    createdAt: row.created_at.toISOString(),
  };
}
