import type { Queryable } from '../db/connections.ts';
import { type ErrorCode, TidemarkError } from '../errors.ts';
import { type Caller, SCOPES, type Scope } from './caller.ts';
import { ExpiringCache } from './expiringCache.ts';
import { hashKey, sameHash } from './secrets.ts';

/** How long a key is believed before the database is asked again, in ms: what a revocation takes at most. */
const TTL_MS = 5_000;
/** The same for a key that was refused, in ms: short, so that a new key works at once. */
const REFUSED_TTL_MS = 1_000;

type Verdict = Caller | { refused: ErrorCode; message: string };

/** Turns the Authorization header into a caller. */
export class Authenticator {
  private readonly db: Queryable;
  private readonly adminHash: Buffer | null;
  private readonly known = new ExpiringCache<Caller & { expiresAt: number | null }>(TTL_MS);
  private readonly refused = new ExpiringCache<{ refused: ErrorCode; message: string }>(REFUSED_TTL_MS);

  /** @param adminKey the platform key from the configuration. */
  constructor(db: Queryable, adminKey: string | undefined) {
    this.db = db;
    this.adminHash = adminKey === undefined ? null : hashKey(adminKey);
  }

  /**
   * @param header the value of Authorization, `Bearer …`.
   * @throws {TidemarkError} `unauthenticated`, `key_unknown`, `key_revoked`, `key_expired`, `tenant_inactive`.
   */
  async authenticate(header: string | undefined): Promise<Caller> {
    const key = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
    if (key === undefined) {
      throw new TidemarkError('unauthenticated', 'send a key as "Authorization: Bearer tm_…"');
    }
    const hash = hashKey(key);
    if (this.adminHash && sameHash(hash, this.adminHash)) return PLATFORM;
    const cacheKey = hash.toString('latin1');
    const known = this.known.get(cacheKey);
    if (known && (known.expiresAt === null || known.expiresAt > Date.now())) return known;
    const verdict = this.refused.get(cacheKey) ?? (await this.look(hash, cacheKey));
    if ('refused' in verdict) throw new TidemarkError(verdict.refused, verdict.message);
    return verdict;
  }

  /** Forgets all keys: one has just been changed by this instance. */
  forget(): void {
    this.known.clear();
    this.refused.clear();
  }

  private async look(hash: Buffer, cacheKey: string): Promise<Verdict> {
    const { rows } = await this.db.query<KeyRow>(
      `select k.id, k.tenant_id, k.scopes, k.expires_at, k.revoked_at,
              k.tenant_id is null or t.active as active
       from api_key k left join tenant t on t.id = k.tenant_id
       where k.secret_hash = $1`,
      [hash],
    );
    const refusal = refuse(rows[0]);
    if (refusal) {
      this.refused.set(cacheKey, refusal);
      return refusal;
    }
    const row = rows[0]!;
    const caller = {
      keyId: row.id,
      tenantId: row.tenant_id,
      scopes: new Set(row.scopes),
      expiresAt: row.expires_at?.getTime() ?? null,
    };
    this.known.set(cacheKey, caller);
    this.noteUse(row.id);
    return caller;
  }

  /** At most once per key and TTL; a failure costs the note and nothing else. */
  private noteUse(keyId: string): void {
    this.db.query('update api_key set last_used_at = now() where id = $1', [keyId]).catch(() => undefined);
  }
}

interface KeyRow {
  id: string;
  tenant_id: string | null;
  scopes: Scope[];
  expires_at: Date | null;
  revoked_at: Date | null;
  active: boolean;
}

const PLATFORM: Caller = { keyId: null, tenantId: null, scopes: new Set(SCOPES) };

function refuse(row: KeyRow | undefined): { refused: ErrorCode; message: string } | null {
  if (!row) return { refused: 'key_unknown', message: 'the key is not known' };
  if (row.revoked_at) return { refused: 'key_revoked', message: 'the key has been revoked' };
  if (row.expires_at && row.expires_at.getTime() <= Date.now()) {
    return { refused: 'key_expired', message: 'the key has expired' };
  }
  if (!row.active) return { refused: 'tenant_inactive', message: 'the tenant is inactive' };
  return null;
}
