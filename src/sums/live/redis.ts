import { Redis, ReplyError } from '../../ground/redisClient.ts';
import {
  emptySums,
  type LiveCounterId,
  type LiveCounters,
  type LiveIncrement,
  type LiveSums,
  nextWindow,
  oldestWindow,
} from './liveCounters.ts';
import {
  ADD_SCRIPT,
  DISTRUST_SCRIPT,
  RAISE_SCRIPT,
  READ_SCRIPT,
  type ScriptIncrement,
  SUMS,
} from './redisScripts.ts';

/** How long after its window has begun a counter is kept at least, ms: current, previous, and a minute for clocks. */
const TTL_MS = 120_000;
/** How long Redis is left alone after a failure, ms. */
const PAUSE_MS = 1_000;
/** Counters per script call, so that none holds Redis for long: a few ms. */
const CHUNK = 500;

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
 * This process is either up or down. Up: increments go to Redis, and `since` lies after every window in which this
 * process has ever failed to count something. Down: increments are dropped, reads are null, nobody waits for Redis.
 * - up → down: an answer fails or does not come in time (the increment may or may not have been applied; it is
 *   never sent again), the connection closes (Redis may come back without its data), or `since` has vanished.
 * - down → up: Redis has confirmed a `since` after every window in which this process has counted or dropped anything.
 *   Tried when the connection is ready, and not sooner than a second after a failure.
 *
 * Not seen from here: what another instance could not count, until that instance reaches Redis again; and a counter
 * that Redis has evicted, so its `maxmemory-policy` has to be `noeviction`.
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
  /** This connection is being given up for a new one. */
  #leaving = false;
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
    this.#redis.on('close', () => {
      this.#leaving = false;
      this.#goDown(new Error('connection to Redis closed'));
    });
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

  async distrust(counters: LiveCounterId[]): Promise<void> {
    if (counters.length === 0) return;
    for (const { windowStart } of counters) {
      this.#horizon = Math.max(this.#horizon, nextWindow(windowStart));
    }
    if (!this.#up) return;
    const now = this.#now();
    const calls: Promise<unknown>[] = [];
    for (let from = 0; from < counters.length; from += CHUNK) {
      const chunk = counters.slice(from, from + CHUNK);
      const keys = chunk.map((id) => this.#counterKey(id.tenantId, id.customerId, id.windowStart));
      const lives = chunk.map(({ windowStart }) => String(Math.max(windowStart - now, 0) + TTL_MS));
      calls.push(this.#eval(DISTRUST_SCRIPT, keys, lives));
    }
    await Promise.all(calls).catch((error) => this.#fail(error));
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
    const now = this.#now();
    const since = String(this.#firstWholeWindow());
    const calls: Promise<unknown>[] = [];
    for (let from = 0; from < increments.length; from += CHUNK) {
      const chunk = increments.slice(from, from + CHUNK);
      const keys = chunk.map((i) => this.#counterKey(i.tenantId, i.customerId, i.windowStart));
      const rows = chunk.map((i) => toScriptIncrement(i, now));
      const args = [since, String(this.#maxFields), JSON.stringify(rows)];
      calls.push(this.#eval(ADD_SCRIPT, [this.#sinceKey, ...keys], args));
    }
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
    if (cause instanceof ReplyError || this.#leaving || this.#redis.status !== 'ready') return;
    this.#leaving = true;
    this.#redis.disconnect(true);
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

function toScriptIncrement({ windowStart, sums }: LiveIncrement, now: number): ScriptIncrement {
  const names: ScriptIncrement['names'] = [];
  pushNames(names, 'endpoint:', sums.byEndpoint);
  const endpoints = names.length / 3;
  pushNames(names, 'model:', sums.byModel);
  return {
    // Counted from now, not an absolute time: the clock of Redis may be another one.
    ttl: Math.max(windowStart - now, 0) + TTL_MS,
    sums: [
      exact(sums.calls),
      exact(sums.tokens),
      exact(sums.inputTokens),
      exact(sums.outputTokens),
      exact(Math.round(sums.latencySumMs * 1_000)),
      exact(sums.latencyCount),
    ],
    endpoints,
    names,
  };
}

function pushNames(list: ScriptIncrement['names'], prefix: string, names: LiveSums['byEndpoint']): void {
  for (const name in names) {
    const { calls, tokens } = names[name]!;
    list.push(prefix + name, exact(calls), exact(tokens));
  }
}

function exact(value: number): number | null {
  return Number.isSafeInteger(value) ? value : null;
}

/** Null: the counter holds a sum that is not exact. */
function parseSums(hash: string[]): LiveSums | null {
  const result = emptySums();
  for (let i = 0; i < hash.length; i += 2) {
    const field = hash[i]!;
    const numbers = hash[i + 1]!.split(' ').map(Number);
    if (field === 'sums') {
      const value = (name: (typeof SUMS)[number]) => numbers[SUMS.indexOf(name)]!;
      if (value('inexact') === 1) return null;
      result.calls = value('calls');
      result.tokens = value('tokens');
      result.inputTokens = value('inputTokens');
      result.outputTokens = value('outputTokens');
      result.latencySumMs = value('latencyMicros') / 1_000;
      result.latencyCount = value('latencyCount');
    } else {
      const colon = field.indexOf(':');
      const names = field.startsWith('endpoint:') ? result.byEndpoint : result.byModel;
      names[field.slice(colon + 1)] = { calls: numbers[0]!, tokens: numbers[1]! };
    }
  }
  return result;
}
