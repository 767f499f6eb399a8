import type { LiveConfig } from '../../ground/config/live.ts';
import type { LiveCounters } from './liveCounters.ts';
import { MemoryLiveCounters } from './memory.ts';
import { NoLiveCounters } from './none.ts';
import { RedisLiveCounters } from './redis.ts';

export interface LiveCountersOptions {
  /** The clock, ms since the epoch. Default: Date.now. */
  now?: (() => number) | undefined;
  /**
   * Latest event (ms since the epoch) in the database, when it lies ahead of the clock: windows up to it are left to
   * the database. Without it, events from before the start that lie in windows to come would be missing.
   */
  latestEventMs?: number | undefined;
  /** Told once each time the store goes (with the cause) or comes back. */
  onHealth?: ((healthy: boolean, cause: Error | null) => void) | undefined;
}

/** The live counters the configuration asks for. Does not wait for Redis: `healthy()` says when it is there. */
export function createLiveCounters(live: LiveConfig, options: LiveCountersOptions = {}): LiveCounters {
  const { store, redisUrl, maxFields, timeoutMs } = live;
  switch (store) {
    case 'none':
      return new NoLiveCounters();
    case 'memory':
      return new MemoryLiveCounters({ maxFields, ...options });
    case 'redis':
      if (redisUrl === undefined) throw new Error('live counters in Redis need redisUrl');
      return new RedisLiveCounters({ url: redisUrl, maxFields, timeoutMs, ...options });
  }
}
