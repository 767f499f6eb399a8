import type { Context } from 'hono';
import type { LimitKind, RateLimiter, TenantLimits } from '../../access/limits/rateLimiter.ts';
import type { AppEnv } from './appEnv.ts';
import { setResponseHeader } from './nodeHttp.ts';

/**
 * Counts a request for a tenant, and tells the caller what is left in the fields of
 * draft-ietf-httpapi-ratelimit-headers-10.
 *
 * @throws {TidemarkError} `too_many_requests`.
 */
export function limitRequest(
  c: Context<AppEnv>,
  limiter: RateLimiter,
  tenantId: string,
  limits: TenantLimits,
): void {
  if (limits.requests === 0 && limits.events === 0) return;
  try {
    limiter.take([{ tenantId, kind: 'requests', points: 1, perSecond: limits.requests }]);
  } finally {
    tellLimits(c, limiter, tenantId, limits);
  }
}

/** Sets `RateLimit-Policy` and `RateLimit` to what is left of a tenant's limits; nothing where it has none. */
export function tellLimits(
  c: Context<AppEnv>,
  limiter: RateLimiter,
  tenantId: string,
  limits: TenantLimits,
): void {
  const kinds = (['requests', 'events'] as const).filter((kind) => limits[kind] > 0);
  if (kinds.length === 0) return;
  const left = (kind: LimitKind) => {
    const { remaining, resetSeconds } = limiter.allowance(tenantId, kind, limits[kind]);
    return `"${kind}";r=${remaining};t=${resetSeconds}`;
  };
  setResponseHeader(c, 'RateLimit-Policy', kinds.map((kind) => `"${kind}";q=${limits[kind]};w=1`).join(', '));
  setResponseHeader(c, 'RateLimit', kinds.map(left).join(', '));
}
