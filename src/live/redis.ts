import { Redis, ReplyError } from 'ioredis';
import {
  emptySums,
  type LiveCounters,
  type LiveIncrement,
  type LiveSums,
  nextWindow,
  oldestWindow,
} from './liveCounters.ts';
import { ADD_SCRIPT, RAISE_SCRIPT, READ_SCRIPT, type SUMS } from './redisScripts.ts';

/** How long after its window has begun a counter is kept at least, ms: current, previous, and a minute for clocks. */
const TTL_MS = 120_000;
/** How long Redis is left alone after a failure, ms. */
const PAUSE_MS = 1_000;
/** Arguments after which a new script call is begun, so that none holds Redis for long. */
const CHUNK_ARGS = 5_000;

export interface RedisOptions {
  url: string;
  /** Cap on distinct endpoints, and on distinct models, per counter. */
  maxFields: number;
  /** Longest wait for one answer of Redis, ms. */
  timeoutMs: number;
  /** Default: `tidemark:live:`. */
  keyPrefix?: string | undefined;
  /** The clock, ms since the epoch. Default: Date.now. */
  now?: (() => number) | undefined;
  /** Latest event (ms since the epoch) acknowledged before this process began, when it lies ahead of the clock. */
  latestEventMs?: number | undefined;
  /** Told once each time Redis goes (with the cause) or comes back. */
  onHealth?: ((healthy: boolean, cause: Error | null) => void) | undefined;
}

/**
 * Live counters in Redis, shared by all instances.
 *
 * The key `since` holds the first window (start, ms) from which on the counters hold everything; reads of earlier
 * windows are answered null. It only rises, and may be deleted at any time: missing, it becomes the next window.
 *
 * This process is either up or down. Up: increments go to Redis, and `since` lies behind every window for which this
 * process has ever failed to count something. Down: increments are dropped, reads are null, nobody waits for Redis.
 * - up → down: an answer fails or does not come in time (the increment may or may not have been applied; it is
 *   never sent again), the connection closes (Redis may come back without its data), or `since` has vanished.
 * - down → up: Redis has confirmed a `since` after every window this process has counted or dropped anything in. Tried
 *   when the connection is ready, and not sooner than a second after a failure.
 *
 * What another instance could not count is unknown here until that instance reaches Redis again.
 */
export class RedisLiveCounters implements LiveCounters {
  readonly store = 'redis';
  readonly #redis: Redis;
  readonly #maxFields: number;
  readonly #prefix: string;
  readonly #sinceKey: string;
  readonly #now: () => number;
  readonly #onHealth: (healthy: boolean, cause: Error | null) => void;
  /** First window (start, ms) in which this process has neither counted nor dropped anything. */
  #horizon: number;
  #up = false;
  #reported: boolean | null = null;
  /** By performance.now(), ms. */
  #pausedUntil = 0;
  #contactTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RedisOptions) {
    this.#maxFields = options.maxFields;
    this.#prefix = options.keyPrefix ?? 'tidemark:live:';
    this.#sinceKey = `${this.#prefix}since`;
    this.#now = options.now ?? Date.now;
    this.#onHealth = options.onHealth ?? (() => {});
    this.#horizon = nextWindow(Math.max(this.#now(), options.latestEventMs ?? 0));
    this.#redis = new Redis(options.url, {
      // An increment is sent once or not at all: these three keep ioredis from queueing and repeating it.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: options.timeoutMs,
      connectTimeout: Math.max(options.timeoutMs, 1_000),
      disconnectTimeout: options.timeoutMs,
      retryStrategy: (attempts) => Math.min(attempts * 50, 1_000),
    });
    this.#redis.on('ready', () => this.#scheduleContact());
    this.#redis.on('close', () => this.#goDown(new Error('connection to Redis closed')));
    this.#redis.on('error', (error) => this.#goDown(error));
  }

  async add(increments: LiveIncrement[]): Promise<void> {
    if (increments.length === 0) return;
    for (const { windowStart } of increments) {
      this.#horizon = Math.max(this.#horizon, nextWindow(windowStart));
    }
    if (!this.#up) return;
    try {
      await Promise.all(this.#addCalls(increments));
    } catch (error) {
      this.#fail(error);
    }
  }

  async read(
    tenantId: string,
    customerId: string | null,
    windowStarts: number[],
  ): Promise<LiveSums[] | null> {
    const earliest = Math.min(...windowStarts);
    if (!this.#up || earliest < oldestWindow(this.#now())) return null;
    const keys = windowStarts.map((start) => this.#counterKey(tenantId, customerId, start));
    try {
      const reply = await this.#eval(READ_SCRIPT, [this.#sinceKey, ...keys], [String(earliest)]);
      const [since, ...hashes] = reply as [string | null, ...string[][]];
      if (since === null) this.#goDown(new Error('Redis has lost its data'));
      // Down by now: an increment that was under way at the same time may have been lost.
      if (!this.#up || hashes.length < keys.length) return null;
      const sums = hashes.map(parseSums);
      return sums.includes(null) ? null : (sums as LiveSums[]);
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  healthy(): boolean {
    return this.#up;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const wasUp = this.#up;
    this.#closed = true;
    this.#up = false;
    clearTimeout(this.#contactTimer);
    if (this.#redis.status === 'ready') {
      // Other instances go on reading: they have to know what this one has dropped.
      const raised = wasUp ? Promise.resolve() : this.#raiseSince(this.#firstWholeWindow());
      await Promise.allSettled([raised, this.#redis.quit()]);
    }
    this.#redis.disconnect();
  }

  #addCalls(increments: LiveIncrement[]): Promise<unknown>[] {
    const calls: Promise<unknown>[] = [];
    const now = this.#now();
    const head = [String(this.#firstWholeWindow()), String(this.#maxFields)];
    let keys = [this.#sinceKey];
    let args = [...head];
    for (const { tenantId, customerId, windowStart, sums } of increments) {
      keys.push(this.#counterKey(tenantId, customerId, windowStart));
      // Counted from now, not an absolute time: the clock of Redis may be another one.
      args.push(String(Math.max(windowStart - now, 0) + TTL_MS));
      args.push(whole(sums.calls), whole(sums.tokens), whole(sums.inputTokens), whole(sums.outputTokens));
      args.push(whole(Math.round(sums.latencySumMs * 1_000)), whole(sums.latencyCount));
      pushNames(args, sums.byEndpoint);
      pushNames(args, sums.byModel);
      if (args.length >= CHUNK_ARGS) {
        calls.push(this.#eval(ADD_SCRIPT, keys, args));
        keys = [this.#sinceKey];
        args = [...head];
      }
    }
    if (keys.length > 1) calls.push(this.#eval(ADD_SCRIPT, keys, args));
    return calls;
  }

  #eval(script: string, keys: string[], args: string[]): Promise<unknown> {
    return this.#redis.call('eval', [script, keys.length, ...keys, ...args]);
  }

  #raiseSince(since: number): Promise<unknown> {
    return this.#eval(RAISE_SCRIPT, [this.#sinceKey], [String(since)]);
  }

  #firstWholeWindow(): number {
    return Math.max(nextWindow(this.#now()), this.#horizon);
  }

  /** The length of the tenant's id in front keeps any two pairs of ids apart, whatever text they are. */
  #counterKey(tenantId: string, customerId: string | null, windowStart: number): string {
    const ids =
      customerId === null ? `tenant:${tenantId}` : `customer:${tenantId.length}:${tenantId}:${customerId}`;
    return `${this.#prefix}${windowStart}:${ids}`;
  }

  #fail(cause: unknown): void {
    this.#pausedUntil = performance.now() + PAUSE_MS;
    this.#goDown(cause instanceof Error ? cause : new Error(String(cause)));
    // A connection that does not answer may be dead without TCP knowing it yet.
    if (!(cause instanceof ReplyError) && this.#redis.status === 'ready') this.#redis.disconnect(true);
  }

  #goDown(cause: Error): void {
    this.#up = false;
    this.#report(false, cause);
    this.#scheduleContact();
  }

  #scheduleContact(): void {
    if (this.#closed || this.#contactTimer !== undefined || this.#redis.status !== 'ready') return;
    const delay = Math.max(this.#pausedUntil - performance.now(), 0);
    this.#contactTimer = setTimeout(() => {
      this.#contactTimer = undefined;
      void this.#contact();
    }, delay).unref();
  }

  async #contact(): Promise<void> {
    if (this.#closed || this.#up || this.#redis.status !== 'ready') return;
    const since = this.#firstWholeWindow();
    try {
      await this.#raiseSince(since);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#closed || this.#redis.status !== 'ready') return;
    if (this.#horizon > since) {
      // Something in a later window was dropped meanwhile.
      this.#scheduleContact();
      return;
    }
    this.#up = true;
    this.#report(true, null);
  }

  #report(healthy: boolean, cause: Error | null): void {
    if (this.#closed || this.#reported === healthy) return;
    this.#reported = healthy;
    this.#onHealth(healthy, cause);
  }
}

/** What is not an exact whole number is sent as a text that HINCRBY refuses, which marks the counter as inexact. */
function whole(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : 'inexact';
}

function pushNames(args: string[], names: LiveSums['byEndpoint']): void {
  const entries = Object.entries(names);
  args.push(String(entries.length));
  for (const [name, { calls, tokens }] of entries) args.push(name, whole(calls), whole(tokens));
}

/** Null: the counter holds a sum that is not exact. */
function parseSums(hash: string[]): LiveSums | null {
  const sums = emptySums();
  const core: Record<(typeof SUMS)[number], number> = {
    calls: 0,
    tokens: 0,
    inputTokens: 0,
    outputTokens: 0,
    latencyMicros: 0,
    latencyCount: 0,
  };
  for (let i = 0; i < hash.length; i += 2) {
    const field = hash[i]!;
    const value = Number(hash[i + 1]);
    if (field === 'inexact' || !Number.isSafeInteger(value)) return null;
    const name = /^(endpoint|model):(calls|tokens):(.*)$/s.exec(field);
    if (name !== null) {
      const cells = name[1] === 'endpoint' ? sums.byEndpoint : sums.byModel;
      cells[name[3]!] ??= { calls: 0, tokens: 0 };
      cells[name[3]!]![name[2] as 'calls' | 'tokens'] = value;
    } else if (Object.hasOwn(core, field)) {
      core[field as keyof typeof core] = value;
    }
  }
  const { latencyMicros, ...plain } = core;
  return { ...sums, ...plain, latencySumMs: latencyMicros / 1_000 };
}
