import type { commonVariables } from './common.ts';
import type { liveVariables } from './live.ts';
import { type Variables, wholeNumber } from './values.ts';

export const limitsVariables = {
  RATE_LIMIT_REQUESTS_PER_SECOND: wholeNumber(0, 1_000_000_000).default(0),
  RATE_LIMIT_EVENTS_PER_SECOND: wholeNumber(0, 1_000_000_000).default(0),
};

type Environment = Variables<typeof limitsVariables & typeof commonVariables & typeof liveVariables>;

export interface LimitsConfig {
  /** Of each tenant that has none of its own; 0: no limit. */
  requestsPerSecond: number;
  eventsPerSecond: number;
  /** Where instances add up what tenants send; undefined: each on its own. */
  redisUrl: string | undefined;
  redisTimeoutMs: number;
}

export function limitsConfig(e: Environment): LimitsConfig {
  return {
    requestsPerSecond: e.RATE_LIMIT_REQUESTS_PER_SECOND,
    eventsPerSecond: e.RATE_LIMIT_EVENTS_PER_SECOND,
    redisUrl: e.REDIS_URL,
    redisTimeoutMs: e.LIVE_TIMEOUT_MS,
  };
}
