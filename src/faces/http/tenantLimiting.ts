import type { Context } from 'hono';
import type { LimitKind, RateLimiter, TenantLimits } from '../../access/limits/rateLimiter.ts';
import type { AppEnv } from './appEnv.ts';
import { setResponseHeader } from './nodeHttp.ts';

const KINDS: readonly LimitKind[] = ['requests', 'events'];

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
  if (!isLimited(limits)) return;
  try {
    takeRequest(limiter, tenantId, limits);
  } finally {
    tellLimits(c, limiter, tenantId, limits);
  }
}

export function isLimited({ requests, events }: TenantLimits): boolean {
  return requests > 0 || events > 0;
}

/** @throws {TidemarkError} `too_many_requests`. */
export function takeRequest(limiter: RateLimiter, tenantId: string, { requests }: TenantLimits): void {
  limiter.take([{ tenantId, kind: 'requests', points: 1, perSecond: requests }]);
}

/** Sets `RateLimit-Policy` and `RateLimit` to what is left of a tenant's limits; nothing where it has none. */
export function tellLimits(
  c: Context<AppEnv>,
  limiter: RateLimiter,
  tenantId: string,
  limits: TenantLimits,
): void {
  for (const [name, value] of limitHeaders(limiter, tenantId, limits)) setResponseHeader(c, name, value);
}

/** The two fields; none where there are no limits. */
export function limitHeaders(
  limiter: RateLimiter,
  tenantId: string,
  limits: TenantLimits,
): [name: string, value: string][] {
  const kinds = KINDS.filter((kind) => limits[kind] > 0);
  if (kinds.length === 0) return [];
  const left = (kind: LimitKind) => {
    const { remaining, resetSeconds } = limiter.allowance(tenantId, kind, limits[kind]);
    return `"${kind}";r=${remaining};t=${resetSeconds}`;
  };
  return [
    ['RateLimit-Policy', kinds.map((kind) => `"${kind}";q=${limits[kind]};w=1`).join(', ')],
    ['RateLimit', kinds.map(left).join(', ')],
  ];
}
