import { Counter, type Registry } from 'prom-client';
import type { LimitsConfig } from '../../ground/config/limits.ts';
import type { RateLimiter } from './rateLimiter.ts';
import { RedisUsage, type RedisUsageOptions } from './sharedUsage.ts';
import { TokenBuckets } from './tokenBuckets.ts';

/** The limiter that the configuration asks for: shared through Redis where there is one. */
export function createRateLimiter(
  { redisUrl, redisTimeoutMs }: LimitsConfig,
  registry: Registry,
  onHealth: RedisUsageOptions['onHealth'],
): RateLimiter {
  const refused = new Counter({
    name: 'tidemark_requests_limited_total',
    help: 'Requests refused with 429, by the limit that they met',
    labelNames: ['limit'],
    registers: [registry],
  });
  return new TokenBuckets({
    shared:
      redisUrl === undefined
        ? undefined
        : new RedisUsage({ url: redisUrl, timeoutMs: redisTimeoutMs, onHealth }),
    onRefused: (kind) => refused.inc({ limit: kind }),
  });
}
