import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { TidemarkError } from '../../model/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface CircuitBreakerOptions {
  /**
   * Asks the database for a sign of life.
   *
   * @throws when there is none within the probe's own timeout.
   */
  probe(): Promise<void>;
  /** Between two probes while the circuit is closed, in ms. */
  intervalMs: number;
  log: Logger;
}

/** Between two probes of a database that is away, in ms. */
const KNOCK_MS = 250;
const MAX_KNOCKING = 20;

/**
 * A circuit breaker for one database (Nygard, "Release It!"): while it is open, whatever needs the database is
 * refused at once instead of after its timeout.
 *
 * It trips on a probe, not on the requests' own failures, since a request may fail for reasons of its own. A probe runs
 * each interval and whenever a connection is lost or cannot be had. Probes do not wait for each other: where one hangs,
 * the next may get through, or be the first that has heard nothing since it began.
 *
 * - closed → open: a probe failed, and nothing was heard from the database on any connection since it began. Every
 *   watched connection is cut, so that what waits on one settles now and not at its timeout.
 * - open → closed: a probe was answered. Those that wait in `closedWithin` go on.
 * Open and half-open are one: the probes are the trial requests.
 */
export class CircuitBreaker {
  private readonly options: CircuitBreakerOptions;
  private readonly streams = new Set<Duplex>();
  private readonly stopping = new AbortController();
  private waiting: (() => void)[] = [];
  private heardAt = performance.now();
  private knocking = 0;
  private isOpen = false;
  /** How often it has opened. */
  trips = 0;

  constructor(options: CircuitBreakerOptions) {
    this.options = options;
  }

  get open(): boolean {
    return this.isOpen;
  }

  /** @throws {TidemarkError} `database_unavailable` while it is open. */
  assertClosed(): void {
    if (!this.isOpen) return;
    throw new TidemarkError('database_unavailable', 'the database cannot be reached', {
      retryAfterSeconds: 1,
    });
  }

  /** Waits for it to close. @returns whether it did within `ms`. */
  async closedWithin(ms: number): Promise<boolean> {
    if (!this.isOpen || this.stopping.signal.aborted) return !this.isOpen;
    const done = new AbortController();
    const closed = new Promise<void>((resolve) => this.waiting.push(resolve)).then(() => !this.isOpen);
    const late = sleep(ms, false, { signal: done.signal }).catch(() => false);
    return Promise.race([closed, late]).finally(() => done.abort());
  }

  /** Takes what arrives on a connection as a sign of life, and its end as a reason to look. */
  watch(stream: Duplex): void {
    this.streams.add(stream);
    stream.on('data', () => {
      this.heardAt = performance.now();
    });
    stream.once('close', () => {
      this.streams.delete(stream);
      this.suspect();
    });
  }

  /** Something points to a database that is away: ask it now. */
  suspect(): void {
    if (!this.isOpen && this.knocking === 0) void this.knock();
  }

  start(): void {
    void this.run();
  }

  /** Ends the probing; those that wait are let go. */
  stop(): void {
    this.stopping.abort();
    this.letGo();
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      if (this.knocking < MAX_KNOCKING) void this.knock();
      const pauseMs = this.isOpen ? KNOCK_MS : this.options.intervalMs;
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private async knock(): Promise<void> {
    if (this.stopping.signal.aborted) return;
    const began = performance.now();
    this.knocking++;
    try {
      await this.options.probe();
      this.heardAt = performance.now();
      this.close();
    } catch (error) {
      if (this.heardAt < began) this.trip(error);
    } finally {
      this.knocking--;
    }
  }

  private trip(cause: unknown): void {
    if (this.isOpen || this.stopping.signal.aborted) return;
    this.isOpen = true;
    this.trips++;
    this.options.log.error({ err: cause }, 'the database is away');
    for (const stream of this.streams) stream.destroy();
  }

  private close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.options.log.warn('the database is back');
    this.letGo();
  }

  private letGo(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting = [];
  }
}
