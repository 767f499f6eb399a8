import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Registry } from 'prom-client';
import type { Caller } from '../../access/tenancy/caller.ts';
import type { LiveViewConfig } from '../../ground/config/live.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { RecentLatencies } from '../../ground/telemetry/recentLatencies.ts';
import type { Tallies, Tally } from '../../intake/ingest/tallies.ts';
import { type ErrorCode, TidemarkError } from '../../model/errors.ts';
import { DatabaseWatch } from './databaseWatch.ts';
import { endedAccess } from './endedAccess.ts';
import { EventStream, frame } from './eventStream.ts';
import { LiveMetrics } from './liveMetrics.ts';
import type { Overview, Scope } from './overview.ts';

/** How often the database is asked at most for what it says of the scopes that are looked at, in ms. */
const SURVEY_MS = 2_000;
/** How often it is asked which keys and tenants have ended, in ms: with its timeout, a key has ended within 10 s. */
const ACCESS_MS = 4_000;
const HEARTBEAT_MS = 10_000;
/** How long a first sample waits for the database, in ms. */
const FIRST_FIGURES_MS = 300;
/** How long a scope is sampled after its last stream has gone, in ms: so that one that comes back has missed nothing. */
const LINGER_MS = 15_000;
/** Samples kept for those who come, and come back. */
const HISTORY = 120;
/** Over which latencies are, in samples. */
const LATENCY_TURNS = 10;
/** What a client waits before it connects again, in ms. */
const RETRY_MS = 2_000;
const RETRY = Buffer.from(`retry: ${RETRY_MS}\n\n`);
/** When one may try again that met a limit, in s. */
const LIMIT_RETRY_S = 10;

export interface LiveViewOptions {
  config: LiveViewConfig;
  tallies: Tallies;
  /** Events of a scope that wait to be written. */
  waitingRows(scope: Scope): number;
  /** With a timeout for statements that is short. */
  db: Queryable;
  /** Whether the database is known to be away. */
  isAway(): boolean;
  registry: Registry;
  log: Logger;
}

/** Who opens a stream, of what, and what it has seen. */
export interface Opening {
  scope: Scope;
  caller: Pick<Caller, 'keyId' | 'tenantId' | 'expiresAt'>;
  lastEventId?: string | undefined;
}

/** A stream, and who looks at it. */
interface Viewer {
  stream: EventStream;
  scope: Scope;
  caller: Opening['caller'];
}

/** A scope that somebody looks at. */
interface Watch {
  scope: Scope;
  tally: Tally;
  viewers: Set<Viewer>;
  history: { number: number; sample: string }[];
  latest: Overview;
  /** Of the latest sample: what was accepted by then, and when it was (performance.now()). */
  accepted: number;
  takenAt: number;
  /** Since when nobody has looked (performance.now()); null: somebody does. */
  left: number | null;
}

/**
 * How things stand, as it moves. One sampler for all that look: each interval it takes a sample of every scope that
 * somebody looks at, and hands the same bytes to all of its streams. What a stream costs is a write; what the database is
 * asked depends on neither streams nor scopes.
 *
 * A sample has the id `RUN.NUMBER`: the run of this process, and the number of the interval. A client that comes back
 * with the id of its last one gets what it has missed, as far as it is kept; one that comes to another instance, or
 * after a restart, gets the present sample, whose sums are of that run, since the moment that it tells.
 */
export class LiveView {
  private readonly options: LiveViewOptions;
  private readonly database: DatabaseWatch;
  private readonly metrics: LiveMetrics;
  private readonly run = randomBytes(4).toString('hex');
  private readonly watches = new Map<Scope, Watch>();
  private readonly viewers = new Set<Viewer>();
  /** Openings that are not streams yet. */
  private readonly opening = new Map<Scope, number>();
  private timer: NodeJS.Timeout | undefined;
  private number = 0;
  private surveyedAt = Number.NEGATIVE_INFINITY;
  private checkedAt = Number.NEGATIVE_INFINITY;
  private beatAt = 0;
  private checking = false;
  private closed = false;

  constructor(options: LiveViewOptions) {
    this.options = options;
    this.database = new DatabaseWatch(options.db);
    this.metrics = new LiveMetrics(options.registry, () => this.viewers.size);
  }

  /** How things stand now. Waits for the database, for as long as one of its statements may take. */
  async overview(scope: Scope): Promise<Overview> {
    const known = this.database.of(scope);
    if (!known || Date.now() - known.asOfMs > SURVEY_MS) await this.survey([scope]);
    const watch = this.watches.get(scope);
    const tally = this.options.tallies.of(scope);
    return this.compose(scope, tally, watch?.latest.instance.eventsPerSecond ?? null);
  }

  /**
   * A stream of samples: first `history`, those that are there and the client has not seen, then `sample` after `sample`.
   *
   * @throws {TidemarkError} `too_many_streams` where the tenant has as many as it may, `overloaded` where the instance
   * has, `shutting_down`.
   */
  async open({ scope, caller, lastEventId }: Opening): Promise<ReadableStream<Uint8Array>> {
    this.requireRoom(scope);
    this.opening.set(scope, (this.opening.get(scope) ?? 0) + 1);
    try {
      if (!this.database.of(scope)) {
        await Promise.race([this.survey([scope]), sleep(FIRST_FIGURES_MS, undefined, { ref: false })]);
      }
    } finally {
      const others = this.opening.get(scope)! - 1;
      if (others > 0) this.opening.set(scope, others);
      else this.opening.delete(scope);
    }
    if (this.closed) throw shuttingDown();
    const watch = this.watchOf(scope);
    const viewer: Viewer = {
      scope,
      caller,
      stream: new EventStream(
        () => this.remove(viewer),
        () => this.metrics.dropped.inc(),
      ),
    };
    watch.viewers.add(viewer);
    watch.left = null;
    this.viewers.add(viewer);
    viewer.stream.send(Buffer.concat([RETRY, this.historyFor(watch, lastEventId)]));
    this.start();
    return viewer.stream.body;
  }

  /** Ends all streams, and lets nobody open another: their clients connect to another instance. */
  close(): void {
    this.closed = true;
    clearInterval(this.timer);
    for (const viewer of [...this.viewers]) this.end(viewer, 'shutting_down');
    for (const watch of [...this.watches.values()]) this.unwatch(watch);
  }

  private requireRoom(scope: Scope): void {
    if (this.closed) throw shuttingDown();
    const { maxStreams, maxStreamsPerTenant } = this.options.config;
    let opening = 0;
    for (const count of this.opening.values()) opening += count;
    if (this.viewers.size + opening >= maxStreams) {
      this.metrics.refused.inc({ limit: 'instance' });
      throw new TidemarkError(
        'overloaded',
        `this instance has ${maxStreams} live streams, and takes no more`,
        {
          retryAfterSeconds: LIMIT_RETRY_S,
        },
      );
    }
    if (scope === null) return;
    const open = (this.watches.get(scope)?.viewers.size ?? 0) + (this.opening.get(scope) ?? 0);
    if (open < maxStreamsPerTenant) return;
    this.metrics.refused.inc({ limit: 'tenant' });
    throw new TidemarkError(
      'too_many_streams',
      `the tenant has ${maxStreamsPerTenant} live streams at this instance, and may have no more`,
      { retryAfterSeconds: LIMIT_RETRY_S },
    );
  }

  private watchOf(scope: Scope): Watch {
    const known = this.watches.get(scope);
    if (known) return known;
    const tally = this.options.tallies.of(scope);
    tally.latencies = new RecentLatencies(LATENCY_TURNS);
    const made: Watch = {
      scope,
      tally,
      viewers: new Set(),
      history: [],
      latest: this.compose(scope, tally, null),
      accepted: tally.accepted,
      takenAt: performance.now(),
      left: null,
    };
    made.history.push({ number: this.number, sample: JSON.stringify(made.latest) });
    this.watches.set(scope, made);
    return made;
  }

  /** What is there and the client has not seen; a comment where there is nothing. */
  private historyFor(watch: Watch, lastEventId: string | undefined): Uint8Array {
    const [, run, number] = /^([0-9a-f]{8})\.(\d{1,15})$/.exec(lastEventId ?? '') ?? [];
    let samples = watch.history;
    if (run === this.run) samples = samples.filter((kept) => kept.number > Number(number));
    else if (lastEventId !== undefined) samples = samples.slice(-1);
    const last = samples.at(-1);
    if (!last) return Buffer.from(': nothing missed\n\n');
    return frame(
      'history',
      this.idOf(last.number),
      `{"samples":[${samples.map(({ sample }) => sample).join()}]}`,
    );
  }

  private idOf(number: number): string {
    return `${this.run}.${number}`;
  }

  private start(): void {
    this.timer ??= setInterval(() => this.tick(), this.options.config.intervalMs).unref();
  }

  private tick(): void {
    const now = performance.now();
    this.number++;
    for (const watch of [...this.watches.values()]) {
      if (watch.left !== null && now - watch.left > LINGER_MS) this.unwatch(watch);
      else this.sample(watch, now);
    }
    if (this.watches.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
      return;
    }
    const beat = now - this.beatAt >= HEARTBEAT_MS;
    if (beat) this.beatAt = now;
    const wallclock = Date.now();
    for (const viewer of [...this.viewers]) {
      const { expiresAt } = viewer.caller;
      if (expiresAt !== null && expiresAt <= wallclock) this.end(viewer, 'key_expired');
      else if (beat) viewer.stream.heartbeat();
    }
    if (!this.database.busy && now - this.surveyedAt >= SURVEY_MS) {
      this.surveyedAt = now;
      void this.survey(this.watches.keys());
    }
    if (!this.checking && now - this.checkedAt >= ACCESS_MS) {
      this.checkedAt = now;
      void this.checkAccess();
    }
  }

  private sample(watch: Watch, now: number): void {
    const { tally } = watch;
    const perSecond = ((tally.accepted - watch.accepted) * 1_000) / (now - watch.takenAt);
    watch.latest = this.compose(watch.scope, tally, Math.round(perSecond * 10) / 10);
    watch.accepted = tally.accepted;
    watch.takenAt = now;
    tally.latencies?.turn();
    const sample = JSON.stringify(watch.latest);
    watch.history.push({ number: this.number, sample });
    if (watch.history.length > HISTORY) watch.history.shift();
    const message = frame('sample', this.idOf(this.number), sample);
    for (const { stream } of watch.viewers) stream.send(message);
  }

  private compose(scope: Scope, tally: Tally, eventsPerSecond: number | null): Overview {
    const at = Date.now();
    const known = this.database.of(scope);
    const percentiles = tally.latencies?.percentiles(0.5, 0.99);
    return {
      at: new Date(at).toISOString(),
      tenantId: scope,
      instance: {
        id: this.run,
        since: new Date(tally.sinceMs).toISOString(),
        accepted: tally.accepted,
        duplicates: tally.duplicates,
        rejected: tally.rejected,
        eventsPerSecond,
        ingestMs: percentiles ? { p50: rounded(percentiles[0]!), p99: rounded(percentiles[1]!) } : null,
        queueRows: this.options.waitingRows(scope),
      },
      database: {
        available: this.database.available && !this.options.isAway(),
        asOf: known ? new Date(known.asOfMs).toISOString() : null,
        ageMs: known ? Math.max(0, at - known.asOfMs) : null,
        closedUntil: known?.figures.closedUntil ?? null,
        lateWindows: known?.figures.lateWindows ?? null,
        messagesWaiting: known?.figures.messagesWaiting ?? null,
        deliveriesPending: known?.figures.deliveriesPending ?? null,
        deadLetters: known?.figures.deadLetters ?? null,
      },
    };
  }

  private survey(scopes: Iterable<Scope>): Promise<void> {
    return this.database.ask(scopes);
  }

  /** Ends the streams of keys that are no longer good, and of tenants that are no longer active. */
  private async checkAccess(): Promise<void> {
    const keys = new Set<string>();
    const tenants = new Set<string>();
    for (const { caller, scope } of this.viewers) {
      if (caller.keyId !== null) keys.add(caller.keyId);
      if (scope !== null && caller.tenantId === null) tenants.add(scope);
    }
    if (keys.size + tenants.size === 0) return;
    this.checking = true;
    try {
      const ended = await endedAccess(this.options.db, [...keys], [...tenants]);
      for (const viewer of [...this.viewers]) {
        const { keyId, tenantId } = viewer.caller;
        const why = keyId === null ? undefined : ended.keys.get(keyId);
        if (why) this.end(viewer, why);
        else if (tenantId === null && viewer.scope !== null && ended.tenants.has(viewer.scope)) {
          this.end(viewer, 'tenant_inactive');
        }
      }
    } catch (error) {
      if (!this.options.isAway())
        this.options.log.warn({ err: error }, 'keys of live streams are not checked');
    } finally {
      this.checking = false;
    }
  }

  /** Tells the client why, so that it knows whether to come back. */
  private end(viewer: Viewer, code: ErrorCode): void {
    this.remove(viewer);
    viewer.stream.end(frame('end', null, JSON.stringify({ code })));
  }

  private remove(viewer: Viewer): void {
    this.viewers.delete(viewer);
    const watch = this.watches.get(viewer.scope);
    if (!watch?.viewers.delete(viewer) || watch.viewers.size > 0) return;
    watch.left = performance.now();
  }

  private unwatch(watch: Watch): void {
    this.watches.delete(watch.scope);
    watch.tally.latencies = null;
    this.database.forget(watch.scope);
  }
}

function shuttingDown(): TidemarkError {
  return new TidemarkError('shutting_down', 'the service is stopping', { retryAfterSeconds: 1 });
}

/** To three digits: they are known within 2.5 %. */
function rounded(ms: number): number {
  return Number(ms.toPrecision(3));
}
