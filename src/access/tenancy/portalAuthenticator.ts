import { TidemarkError } from '../../model/errors.ts';
import {
  BearerAuthenticator,
  type BearerOptions,
  type Refusal,
  type Verdict,
} from './bearerAuthenticator.ts';
import type { PortalCaller } from './portalCaller.ts';
import { isPortalToken } from './secrets.ts';
import { type LimitDefaults, limitsOf } from './tenantLimits.ts';

export interface PortalAuthenticatorOptions extends BearerOptions {
  /** Of tenants that have none of their own. */
  limits: LimitDefaults;
}

/**
 * Turns the Authorization header into the customer that a portal token speaks for. Refuses with `token_unknown`,
 * `token_revoked`, `token_expired`, `tenant_inactive`. A token ends with the key that made it.
 */
export class PortalAuthenticator extends BearerAuthenticator<PortalCaller> {
  protected readonly unknownCode = 'token_unknown';
  private readonly limits: LimitDefaults;

  constructor(options: PortalAuthenticatorOptions) {
    super(options);
    this.limits = options.limits;
  }

  /** The same for every key, be it good or not: nothing is looked up. */
  protected requireKind(secret: string): void {
    if (!isPortalToken(secret)) throw new TidemarkError('unauthenticated', this.wanted());
  }

  protected wanted(): string {
    return 'send a portal token as "Authorization: Bearer tmp_…": keys are for the other routes';
  }

  protected async look(hash: Buffer): Promise<Verdict<PortalCaller>> {
    const { rows } = await this.db.query<TokenRow>(
      `select p.id, p.tenant_id, p.customer_id, p.meters, p.usage, p.costs,
              least(p.expires_at, k.expires_at) as expires_at, coalesce(p.revoked_at, k.revoked_at) as revoked_at,
              t.active, t.requests_per_second, t.events_per_second
       from portal_token p join tenant t on t.id = p.tenant_id left join api_key k on k.id = p.key_id
       where p.secret_hash = $1`,
      [hash],
    );
    const refusal = refuse(rows[0]);
    if (refusal) return refusal;
    const row = rows[0]!;
    return {
      tokenId: row.id,
      tenantId: row.tenant_id,
      customerId: row.customer_id,
      meters: row.meters && new Set(row.meters),
      usage: row.usage,
      costs: row.costs,
      expiresAt: row.expires_at.getTime(),
      limits: limitsOf(row, this.limits),
    };
  }

  /** At most once per token and TTL; a failure costs the note and nothing else. */
  protected noteUse({ tokenId }: PortalCaller): void {
    this.db
      .query('update portal_token set last_used_at = now() where id = $1', [tokenId])
      .catch(() => undefined);
  }
}

interface TokenRow {
  id: string;
  tenant_id: string;
  customer_id: string;
  meters: string[] | null;
  usage: boolean;
  costs: boolean;
  expires_at: Date;
  revoked_at: Date | null;
  active: boolean;
  requests_per_second: number | null;
  events_per_second: number | null;
}

function refuse(row: TokenRow | undefined): Refusal | null {
  if (!row) return { refused: 'token_unknown', message: 'the portal token is not known' };
  if (row.revoked_at) return { refused: 'token_revoked', message: 'the portal token has been revoked' };
  if (row.expires_at.getTime() <= Date.now()) {
    return { refused: 'token_expired', message: 'the portal token has expired: ask for a new one' };
  }
  if (!row.active) return { refused: 'tenant_inactive', message: 'the tenant is inactive' };
  return null;
}
