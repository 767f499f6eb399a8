import type { commonVariables } from './common.ts';
import { type Variables, wholeNumber } from './values.ts';

export const liveVariables = {
  LIVE_MAX_FIELDS: wholeNumber(1, 10_000).default(200),
  LIVE_TIMEOUT_MS: wholeNumber(10, 10_000).default(200),
};

type Environment = Variables<typeof liveVariables & typeof commonVariables>;

export interface LiveConfig {
  store: 'redis' | 'memory' | 'none';
  redisUrl: string | undefined;
  maxFields: number;
  timeoutMs: number;
}

export function liveConfig(e: Environment): LiveConfig {
  return {
    store: liveStore(e),
    redisUrl: e.REDIS_URL,
    maxFields: e.LIVE_MAX_FIELDS,
    timeoutMs: e.LIVE_TIMEOUT_MS,
  };
}

/** In-memory counters see one instance only, so production without Redis answers from the database. */
function liveStore(e: Environment): LiveConfig['store'] {
  if (e.REDIS_URL) return 'redis';
  return e.TIDEMARK_PROFILE === 'prod' ? 'none' : 'memory';
}
