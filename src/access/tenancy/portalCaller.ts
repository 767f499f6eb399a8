import { TidemarkError } from '../../model/errors.ts';
import type { TenantLimits } from '../limits/rateLimiter.ts';
import { type TenantContext, tenantContext } from './tenantContext.ts';

/** Who is calling with a portal token: one customer, that reads its own. */
export interface PortalCaller {
  tokenId: string;
  tenantId: string;
  customerId: string;
  /** Slugs of the meters that it may read; null: all. */
  meters: ReadonlySet<string> | null;
  /** Whether it may read its usage, and what that cost. */
  usage: boolean;
  costs: boolean;
  /** When the token ends, in ms since the epoch. */
  expiresAt: number;
  /** Of its tenant. */
  limits: TenantLimits;
}

/**
 * The tenant whose data the customer's are among.
 *
 * @param requested what the caller asked for (X-Tenant-Id).
 * @throws {TidemarkError} `tenant_mismatch`.
 */
export function portalContext(caller: PortalCaller, requested: string | undefined): TenantContext {
  if (requested !== undefined && requested !== caller.tenantId) {
    throw new TidemarkError('tenant_mismatch', 'the portal token belongs to another tenant');
  }
  return tenantContext(caller.tenantId);
}

/** Whether it may read the live meter of this slug. */
export function mayReadMeter({ meters }: PortalCaller, slug: string): boolean {
  return meters === null || meters.has(slug);
}

/** @throws {TidemarkError} `portal_not_allowed`. */
export function requirePortalUsage(caller: PortalCaller, withCosts: boolean): void {
  if (!caller.usage) throw new TidemarkError('portal_not_allowed', 'the portal token is for meters alone');
  if (withCosts && !caller.costs) {
    throw new TidemarkError('portal_not_allowed', 'the portal token is not for costs');
  }
}
