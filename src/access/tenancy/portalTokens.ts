import { randomUUID } from 'node:crypto';
import { byAge, listByAge } from '../../ground/db/listByAge.ts';
import type { Page } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import { type Actor, writeEntries } from './auditLog.ts';
import { revoke } from './revoke.ts';
import { generatePortalToken, hashKey } from './secrets.ts';
import type { TenantContext } from './tenantContext.ts';

export const PORTAL_TOKEN_STATES = ['active', 'expired', 'revoked'] as const;
export type PortalTokenState = (typeof PORTAL_TOKEN_STATES)[number];

/** How long a token lives, in s. */
export const PORTAL_LIFE_S = { default: 3_600, min: 60, max: 30 * 86_400 };
/** Meters that a token may name. */
export const MOST_PORTAL_METERS = 100;

/** A portal token without its secret. */
export interface PortalToken {
  id: string;
  customerId: string;
  /** Slugs; null: all meters. */
  meters: string[] | null;
  usage: boolean;
  costs: boolean;
  state: PortalTokenState;
  /** The key that made it, and with which it ends; null: ADMIN_KEY. */
  keyId: string | null;
  /** When it ends by itself: no later than its key. */
  expiresAt: string;
  lastUsedAt: string | null;
  revokedAt: string | null;
  createdAt: string;
}

interface TokenRow {
  id: string;
  customer_id: string;
  meters: string[] | null;
  usage: boolean;
  costs: boolean;
  state: PortalTokenState;
  key_id: string | null;
  ends_at: Date;
  last_used_at: Date | null;
  ended_at: Date | null;
  created_at: Date;
}

const TOKENS = byAge('portal-tokens');

/** Tokens as an SQL `from` item, with when each ends: no later than its key. */
const ALL = `(
  select p.*, least(p.expires_at, k.expires_at) as ends_at, coalesce(p.revoked_at, k.revoked_at) as ended_at,
    case when coalesce(p.revoked_at, k.revoked_at) is not null then 'revoked'
         when least(p.expires_at, k.expires_at) <= now() then 'expired' else 'active' end as state
  from portal_token p left join api_key k on k.id = p.key_id
) as tokens`;
const COLUMNS =
  'id, customer_id, meters, usage, costs, state, key_id, ends_at, last_used_at, ended_at, created_at';

export interface NewPortalToken {
  customerId: string;
  /** Slugs of live meters; null: all. */
  meters: string[] | null;
  usage: boolean;
  costs: boolean;
  /** When it ends, if its key does not end before: a moment, or so many seconds from now. */
  expires: { at: Date } | { inSeconds: number };
}

/**
 * Makes a token. Its secret is returned here and never again. The customer need not have events yet.
 *
 * @param actor its key is the one that the token ends with.
 */
export async function createPortalToken(
  db: Queryable,
  { tenantId }: TenantContext,
  token: NewPortalToken,
  actor: Actor,
): Promise<PortalToken & { token: string }> {
  const secret = generatePortalToken();
  const { rows } = await db.query<TokenRow>(
    `with made as (
       insert into portal_token
         (id, tenant_id, secret_hash, customer_id, meters, usage, costs, key_id, expires_at)
       select $1, $2, $3, $4, $5, $6, $7, $8,
              least(coalesce($9::timestamptz, now() + $10 * interval '1 second'),
                    (select expires_at from api_key where id = $8))
       returning *
     ), logged as (${writeEntries({
       from: 'made',
       action: 'portal_token.created',
       after: `jsonb_build_object('customerId', customer_id, 'meters', to_jsonb(meters), 'usage', usage,
         'costs', costs, 'expiresAt', iso8601(expires_at))`,
       actor: '$11',
     })})
     select id, customer_id, meters, usage, costs, 'active' as state, key_id, expires_at as ends_at,
       last_used_at, revoked_at as ended_at, created_at from made`,
    [
      randomUUID(),
      tenantId,
      hashKey(secret),
      token.customerId,
      token.meters,
      token.usage,
      token.costs,
      actor.keyId,
      'at' in token.expires ? token.expires.at : null,
      'at' in token.expires ? null : token.expires.inSeconds,
      JSON.stringify(actor),
    ],
  );
  return { ...toToken(rows[0]!), token: secret };
}

export interface PortalTokenQuery {
  customerId?: string | undefined;
  state?: PortalTokenState | undefined;
  cursor?: string | undefined;
  limit: number;
}

/** Tokens of a tenant by age, oldest first. @throws {TidemarkError} `cursor_invalid`. */
export async function listPortalTokens(
  db: Queryable,
  { tenantId }: TenantContext,
  { customerId, state, ...query }: PortalTokenQuery,
): Promise<Page<PortalToken>> {
  const rows = {
    columns: COLUMNS,
    table: ALL,
    condition: `tenant_id = $4 and ($5::text is null or customer_id = $5) and ($6::text is null or state = $6)`,
    values: [tenantId, customerId ?? null, state ?? null],
  };
  const page = await listByAge<TokenRow>(db, TOKENS, rows, query);
  return { data: page.data.map(toToken), nextCursor: page.nextCursor };
}

/**
 * Revokes for good: the token of this id, or all of a customer's. Revoking twice is no error.
 *
 * @throws {TidemarkError} `not_found` where there is no token of this id.
 */
export async function revokePortalTokens(
  db: Queryable,
  { tenantId }: TenantContext,
  which: { id: string } | { customerId: string },
  actor: Actor,
): Promise<void> {
  const [column, value] = 'id' in which ? ['id', which.id] : ['customer_id', which.customerId];
  const found = await revoke(
    db,
    {
      table: 'portal_token',
      action: 'portal_token.revoked',
      condition: `tenant_id = $1 and ${column} = $2`,
      values: [tenantId, value],
    },
    actor,
  );
  if ('id' in which && found === 0) throw new TidemarkError('not_found', 'there is no such portal token');
}

/** Tokens forgotten in one statement. */
const ROWS_PER_STEP = 5_000;

/**
 * Forgets tokens that ended 30 days ago or longer.
 *
 * @returns how many, and whether there may be more.
 */
export async function forgetPortalTokens(db: Queryable): Promise<{ rows: number; more: boolean }> {
  const { rowCount } = await db.query(
    `delete from portal_token where id in (
       select id from portal_token where expires_at < now() - interval '30 days'
       order by expires_at limit $1 for update skip locked)`,
    [ROWS_PER_STEP],
  );
  const rows = rowCount ?? 0;
  return { rows, more: rows === ROWS_PER_STEP };
}

function toToken(row: TokenRow): PortalToken {
  return {
    id: row.id,
    customerId: row.customer_id,
    meters: row.meters,
    usage: row.usage,
    costs: row.costs,
    state: row.state,
    keyId: row.key_id,
    expiresAt: row.ends_at.toISOString(),
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    revokedAt: row.ended_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
  };
}
