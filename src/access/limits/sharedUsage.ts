import { RateLimiterRedis } from 'rate-limiter-flexible';
import { Redis } from '../../ground/redisClient.ts';

/** How long Redis is left alone after a failure, in ms. */
const PAUSE_MS = 1_000;
/** How long a sum is kept; when it begins again, one exchange is lost. In s. */
const KEPT_SECONDS = 3_600;

/** Sums that several instances add to. */
export interface SharedUsage {
  /** Adds points and says what all have added; null when that is not known now. Never throws. */
  add(key: string, points: number): Promise<number | null>;
  healthy(): boolean;
  close(): Promise<void>;
}

export interface RedisUsageOptions {
  url: string;
  /** Longest wait for an answer, in ms. */
  timeoutMs: number;
  /** Told once each time Redis goes (with the cause) or comes back. */
  onHealth?: ((healthy: boolean, cause: Error | null) => void) | undefined;
}

/**
 * Sums in Redis, on a connection of its own, made when it is first needed: a slow answer to live counters does not delay it. After a failure
 * nothing is sent for a second; points of that time, and those whose answer did not come, are not repeated.
 */
export class RedisUsage implements SharedUsage {
  private readonly redis: Redis;
  private readonly limiter: RateLimiterRedis;
  private readonly onHealth: NonNullable<RedisUsageOptions['onHealth']>;
  private up: boolean | null = null;
  /** By performance.now(), ms. */
  private pausedUntil = 0;

  constructor({ url, timeoutMs, onHealth }: RedisUsageOptions) {
    this.onHealth = onHealth ?? (() => {});
    this.redis = new Redis(url, {
      lazyConnect: true, // where no tenant has a limit, there is nothing to share
      // Points are sent once or not at all: these three keep ioredis from queueing and repeating them.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: timeoutMs,
      connectTimeout: Math.max(timeoutMs, 1_000),
      disconnectTimeout: timeoutMs,
      retryStrategy: (attempts) => Math.min(attempts * 50, 1_000),
    });
    this.redis.on('error', (error) => this.fail(error));
    this.limiter = new RateLimiterRedis({
      storeClient: this.redis,
      rejectIfRedisNotReady: true,
      keyPrefix: 'tidemark:limit',
      points: Number.MAX_SAFE_INTEGER,
      duration: KEPT_SECONDS,
    });
  }

  async add(key: string, points: number): Promise<number | null> {
    if (performance.now() < this.pausedUntil) return null;
    if (this.redis.status === 'wait') this.redis.connect().catch(() => undefined); // 'error' tells why
    if (this.up === null && this.redis.status !== 'ready') return null;
    try {
      const { consumedPoints } = await this.limiter.penalty(key, points);
      if (this.up !== true) this.onHealth(true, null);
      this.up = true;
      return consumedPoints;
    } catch (error) {
      this.fail(error as Error);
      return null;
    }
  }

  healthy(): boolean {
    return this.up === true;
  }

  async close(): Promise<void> {
    this.redis.disconnect();
  }

  private fail(error: Error): void {
    this.pausedUntil = performance.now() + PAUSE_MS;
    if (this.up !== false) this.onHealth(false, error);
    this.up = false;
  }
}
