export type LimitKind = 'requests' | 'events';

/** What a tenant may do per second; 0: as much as there is. */
export interface TenantLimits {
  requests: number;
  events: number;
}

/** What a tenant has set for itself: null takes the service's default. */
export interface LimitOverrides {
  requestsPerSecond: number | null;
  eventsPerSecond: number | null;
}

export interface Allowance {
  /** Points that may be taken at once. */
  remaining: number;
  /** Seconds until the whole quota may be taken at once. */
  resetSeconds: number;
}

/** Points taken together: of all or of none. */
export interface Claim {
  tenantId: string;
  kind: LimitKind;
  points: number;
  /** The tenant's limit; 0 for none. */
  perSecond: number;
}

/**
 * Rate limits of tenants. Answers at once: nobody waits for another process.
 *
 * A limit is a token bucket: it holds one second's points and is refilled continuously. A claim larger than that is
 * taken when the bucket is full, and paid back by waiting, so that nothing is impossible to send and the rate holds all
 * the same.
 */
export interface RateLimiter {
  /**
   * Refuses claims that `take` would refuse, and takes nothing.
   *
   * @throws {TidemarkError} `too_many_requests`.
   */
  check(claims: Claim[]): void;
  /**
   * Takes the points of every claim, or of none.
   *
   * @throws {TidemarkError} `too_many_requests`, with the seconds after which the claim would be granted.
   */
  take(claims: Claim[]): void;
  /** What is left of a limit. */
  allowance(tenantId: string, kind: LimitKind, perSecond: number): Allowance;
  close(): Promise<void>;
}
