import { TidemarkError } from '../../model/errors.ts';
import type { Allowance, Claim, LimitKind, RateLimiter } from './rateLimiter.ts';
import type { SharedUsage } from './sharedUsage.ts';

/** How often instances tell each other what they have taken, in ms. */
const EXCHANGE_MS = 100;
/** What others had taken before a pause of this length has been refilled since, in ms. */
const FORGET_MS = 1_000;
/** How often full buckets are put away, in ms. */
const SWEEP_MS = 10_000;

interface Bucket {
  readonly key: string;
  perSecond: number;
  /** Below zero: taken ahead. As of `at`. */
  tokens: number;
  /** By the clock, ms. */
  at: number;
  /** Taken here and not yet told the others. */
  untold: number;
  /** What all had taken together at the last exchange; null when that is not known. */
  total: number | null;
  toldAt: number;
}

export interface TokenBucketsOptions {
  /** Where instances add up what they take; without it each is on its own. */
  shared?: SharedUsage | undefined;
  /** ms, from any beginning. Default: performance.now. */
  now?: (() => number) | undefined;
  /** Told of each refused claim. */
  onRefused?: ((kind: LimitKind) => void) | undefined;
}

/**
 * Token buckets in this process. With `shared`, every instance has the whole bucket and is told, ten times a second,
 * what the others have taken from it: the rate of all together holds, but for what they take within 100 ms of each
 * other, which is paid back. While the others cannot be reached, each instance grants the whole rate.
 */
export class TokenBuckets implements RateLimiter {
  private readonly buckets = new Map<string, Bucket>();
  /** Used since the last exchange. */
  private readonly used = new Set<Bucket>();
  private readonly shared: SharedUsage | undefined;
  private readonly now: () => number;
  private readonly onRefused: (kind: LimitKind) => void;
  private readonly sweeper: NodeJS.Timeout;
  private exchanger: NodeJS.Timeout | undefined;
  private exchanging: Promise<void> | undefined;

  constructor({ shared, now, onRefused }: TokenBucketsOptions = {}) {
    this.shared = shared;
    this.now = now ?? (() => performance.now());
    this.onRefused = onRefused ?? (() => {});
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
    if (shared) {
      this.exchanger = setInterval(() => {
        this.exchanging ??= this.exchange().finally(() => {
          this.exchanging = undefined;
        });
      }, EXCHANGE_MS).unref();
    }
  }

  check(claims: Claim[]): void {
    for (const claim of claims) {
      if (claim.perSecond === 0) continue;
      const { tokens } = this.bucketOf(claim.tenantId, claim.kind, claim.perSecond);
      const needed = Math.min(claim.points, claim.perSecond);
      if (tokens >= needed) continue;
      this.onRefused(claim.kind);
      throw new TidemarkError(
        'too_many_requests',
        `the tenant may send ${claim.perSecond} ${claim.kind} per second; nothing of this request was done`,
        { retryAfterSeconds: Math.max(1, Math.ceil((needed - tokens) / claim.perSecond)) },
      );
    }
  }

  take(claims: Claim[]): void {
    this.check(claims);
    for (const { tenantId, kind, points, perSecond } of claims) {
      if (perSecond === 0) continue;
      const bucket = this.bucketOf(tenantId, kind, perSecond);
      bucket.tokens -= points;
      bucket.untold += points;
    }
  }

  allowance(tenantId: string, kind: LimitKind, perSecond: number): Allowance {
    const { tokens } = this.bucketOf(tenantId, kind, perSecond);
    return {
      remaining: Math.max(0, Math.floor(tokens)),
      resetSeconds: Math.ceil((perSecond - tokens) / perSecond),
    };
  }

  async close(): Promise<void> {
    clearInterval(this.sweeper);
    clearInterval(this.exchanger);
    await this.exchanging;
    await this.shared?.close();
  }

  /** @internal One exchange with the other instances; for tests, which cannot wait for it. */
  async exchange(): Promise<void> {
    const { shared } = this;
    if (!shared || this.used.size === 0) return;
    const used = [...this.used];
    this.used.clear();
    await Promise.all(
      used.map(async (bucket) => {
        const own = bucket.untold;
        bucket.untold = 0;
        const total = await shared.add(bucket.key, own);
        const now = this.now();
        if (total !== null && bucket.total !== null && now - bucket.toldAt < FORGET_MS) {
          bucket.tokens -= Math.max(0, total - bucket.total - own);
        }
        bucket.total = total;
        bucket.toldAt = now;
      }),
    );
  }

  /** The bucket, refilled up to now. */
  private bucketOf(tenantId: string, kind: LimitKind, perSecond: number): Bucket {
    const key = `${kind}:${tenantId}`;
    const now = this.now();
    let bucket = this.buckets.get(key);
    if (!bucket) {
      bucket = { key, perSecond, tokens: perSecond, at: now, untold: 0, total: null, toldAt: now };
      this.buckets.set(key, bucket);
    }
    bucket.perSecond = perSecond;
    refill(bucket, now);
    if (this.shared) this.used.add(bucket);
    return bucket;
  }

  /** A full bucket is like none. */
  private sweep(): void {
    const now = this.now();
    for (const bucket of this.buckets.values()) {
      refill(bucket, now);
      if (bucket.tokens === bucket.perSecond && !this.used.has(bucket)) this.buckets.delete(bucket.key);
    }
  }
}

function refill(bucket: Bucket, now: number): void {
  const gained = ((now - bucket.at) / 1_000) * bucket.perSecond;
  bucket.tokens = Math.min(bucket.perSecond, bucket.tokens + gained);
  bucket.at = now;
}
