import { TidemarkError } from '../../model/errors.ts';
import {
  BearerAuthenticator,
  type BearerOptions,
  type Refusal,
  type Verdict,
} from './bearerAuthenticator.ts';
import { type Caller, SCOPES, type Scope } from './caller.ts';
import { hashKey, isPortalToken, sameHash } from './secrets.ts';
import { type LimitDefaults, limitsOf } from './tenantLimits.ts';

export interface AuthenticatorOptions extends BearerOptions {
  /** The platform keys of the configuration. */
  adminKeys: string[];
  /** Of tenants that have none of their own. */
  limits: LimitDefaults;
}

/**
 * Turns the Authorization header into a caller: the holder of a tenant's or the platform's key. Refuses with
 * `key_unknown`, `key_revoked`, `key_expired`, `tenant_inactive`.
 */
export class Authenticator extends BearerAuthenticator<Caller> {
  protected readonly unknownCode = 'key_unknown';
  private readonly adminHashes: Buffer[];
  private readonly limits: LimitDefaults;

  constructor(options: AuthenticatorOptions) {
    super(options);
    this.adminHashes = options.adminKeys.map(hashKey);
    this.limits = options.limits;
  }

  /** The same for every portal token, be it good or not: nothing is looked up. */
  protected requireKind(secret: string): void {
    if (!isPortalToken(secret)) return;
    throw new TidemarkError('unauthenticated', 'a portal token is for /v1/portal alone: send a key here');
  }

  protected wanted(): string {
    return 'send a key as "Authorization: Bearer tm_…"';
  }

  protected override configured(hash: Buffer): Caller | undefined {
    return this.adminHashes.some((admin) => sameHash(hash, admin)) ? PLATFORM : undefined;
  }

  protected async look(hash: Buffer): Promise<Verdict<Caller>> {
    const { rows } = await this.db.query<KeyRow>(
      `select k.id, k.tenant_id, k.scopes, k.expires_at, k.revoked_at,
              k.tenant_id is null or t.active as active, t.requests_per_second, t.events_per_second
       from api_key k left join tenant t on t.id = k.tenant_id
       where k.secret_hash = $1`,
      [hash],
    );
    const refusal = refuse(rows[0]);
    if (refusal) return refusal;
    const row = rows[0]!;
    return {
      keyId: row.id,
      tenantId: row.tenant_id,
      scopes: new Set(row.scopes),
      expiresAt: row.expires_at?.getTime() ?? null,
      limits: row.tenant_id === null ? null : limitsOf(row, this.limits),
    };
  }

  /** At most once per key and TTL; a failure costs the note and nothing else. */
  protected noteUse({ keyId }: Caller): void {
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
  requests_per_second: number | null;
  events_per_second: number | null;
}

const PLATFORM: Caller = {
  keyId: null,
  tenantId: null,
  scopes: new Set(SCOPES),
  expiresAt: null,
  limits: null,
};

function refuse(row: KeyRow | undefined): Refusal | null {
  if (!row) return { refused: 'key_unknown', message: 'the key is not known' };
  if (row.revoked_at) return { refused: 'key_revoked', message: 'the key has been revoked' };
  if (row.expires_at && row.expires_at.getTime() <= Date.now()) {
    return { refused: 'key_expired', message: 'the key has expired' };
  }
  if (!row.active) return { refused: 'tenant_inactive', message: 'the tenant is inactive' };
  return null;
}
