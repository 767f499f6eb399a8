import type { commonVariables } from './common.ts';
import { type Variables, wholeNumber } from './values.ts';

export const liveVariables = {
  LIVE_MAX_FIELDS: wholeNumber(1, 10_000).default(200),
  LIVE_STREAMS: wholeNumber(1, 10_000).default(100),
  LIVE_STREAMS_PER_TENANT: wholeNumber(1, 10_000).default(20),
  LIVE_TIMEOUT_MS: wholeNumber(10, 10_000).default(200),
};

type Environment = Variables<typeof liveVariables & typeof commonVariables>;

export interface LiveConfig {
  store: 'redis' | 'memory' | 'none';
  redisUrl: string | undefined;
  maxFields: number;
  timeoutMs: number;
}

/** How things stand, as it moves. */
export interface LiveViewConfig {
  /** Streams of an instance that may be open at a time, and those of a tenant among them. */
  maxStreams: number;
  maxStreamsPerTenant: number;
  /** Between two samples of a stream, in ms; no variable sets it. */
  intervalMs: number;
}

export function liveConfig(e: Environment): LiveConfig {
  return {
    store: liveStore(e),
    redisUrl: e.REDIS_URL,
    maxFields: e.LIVE_MAX_FIELDS,
    timeoutMs: e.LIVE_TIMEOUT_MS,
  };
}

export function liveViewConfig(e: Environment): LiveViewConfig {
  return {
    maxStreams: e.LIVE_STREAMS,
    maxStreamsPerTenant: e.LIVE_STREAMS_PER_TENANT,
    intervalMs: 1_000,
  };
}

/** In-memory counters see one instance only, so production without Redis answers from the database. */
function liveStore(e: Environment): LiveConfig['store'] {
  if (e.REDIS_URL) return 'redis';
  return e.TIDEMARK_PROFILE === 'prod' ? 'none' : 'memory';
}
