import type { TenantLimits } from '../limits/rateLimiter.ts';

/** What applies to a tenant that has no limit of its own; 0: none. */
export interface LimitDefaults {
  requestsPerSecond: number;
  eventsPerSecond: number;
}

/** @param row of `tenant`; null takes the default, 0 is no limit. */
export function limitsOf(
  row: { requests_per_second: number | null; events_per_second: number | null },
  defaults: LimitDefaults,
): TenantLimits {
  return {
    requests: row.requests_per_second ?? defaults.requestsPerSecond,
    events: row.events_per_second ?? defaults.eventsPerSecond,
  };
}
