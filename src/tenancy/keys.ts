import { randomUUID } from 'node:crypto';
import type { Queryable } from '../db/connections.ts';
import { decodeCursor, type List, type Page, pageOf } from '../db/paging.ts';
import { TidemarkError } from '../errors.ts';
import type { Scope } from './caller.ts';
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
  createdAt: string;
}

interface Row {
  id: string;
  tenant_id: string | null;
  scopes: Scope[];
  expires_at: Date | null;
  last_used_at: Date | null;
  revoked_at: Date | null;
  created_at: Date;
  created_micros: string;
}

const COLUMNS = `id, tenant_id, scopes, expires_at, last_used_at, revoked_at, created_at,
  (extract(epoch from created_at) * 1000000)::bigint as created_micros`;

const KEYS: List = { name: 'keys', key: ['micros', 'uuid'] };

export interface NewKey {
  tenantId: string | null;
  scopes: Scope[];
  expiresAt?: Date | undefined;
}

/**
 * Makes a key. Its secret is returned here and never again.
 *
 * @param secret a key made elsewhere, for the demo tenant; otherwise one is generated.
 * @throws {TidemarkError} `tenant_unknown`.
 */
export async function createKey(
  db: Queryable,
  key: NewKey,
  secret = generateKey(),
): Promise<ApiKey & { key: string }> {
  const { rows } = await db.query<Row>(
    `insert into api_key (id, tenant_id, secret_hash, scopes, expires_at)
     select $1, $2, $3, $4, $5 where $2::text is null or exists (select from tenant where id = $2)
     returning ${COLUMNS}`,
    [randomUUID(), key.tenantId, hashKey(secret), key.scopes, key.expiresAt ?? null],
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
  const after = query.cursor === undefined ? [null, null] : decodeCursor(query.cursor, KEYS);
  const { rows } = await db.query<Row>(
    `select ${COLUMNS} from api_key
     where ($1::text is null or tenant_id = $1)
       and ($2::bigint is null
            or ((extract(epoch from created_at) * 1000000)::bigint, id::text) > ($2::bigint, $3::text))
     order by (extract(epoch from created_at) * 1000000)::bigint, id::text
     limit $4`,
    [tenantId, after[0], after[1], query.limit + 1],
  );
  const page = pageOf(rows, query.limit, KEYS, (row) => [Number(row.created_micros), row.id]);
  return { data: page.data.map(toKey), nextCursor: page.nextCursor };
}

/**
 * Revokes a key for good. Revoking twice is no error.
 *
 * @param tenantId whose key it must be, or null for any.
 * @throws {TidemarkError} `not_found`.
 */
export async function revokeKey(db: Queryable, tenantId: string | null, id: string): Promise<void> {
  const { rowCount } = await db.query(
    `update api_key set revoked_at = coalesce(revoked_at, now()), updated_at = now()
     where id = $1 and ($2::text is null or tenant_id = $2)`,
    [id, tenantId],
  );
  if (rowCount === 0) throw new TidemarkError('not_found', 'there is no such key');
}

function toKey(row: Row): ApiKey {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    scopes: row.scopes,
    expiresAt: row.expires_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    revokedAt: row.revoked_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
  };
}
