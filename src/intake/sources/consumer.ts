import { setMaxListeners } from 'node:events';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { type ErrorCode, type EventFault, TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import type { Ingest, WriteResult } from '../ingest/ingest.ts';
import { acceptEntry, type EntryRules } from './acceptEntry.ts';
import { Room } from './room.ts';
import type { Rejection, Source, SourceEntry } from './source.ts';
import type { SourceMetrics } from './sourceMetrics.ts';

/*
 * The way of an entry, which knows ingest and not the queue:
 *
 *   read ──► accepted ──► stored (committed) ──► acknowledged
 *       └──► rejected ──► dead letter ──► acknowledged
 *
 * - An entry that was read is under way until it is acknowledged or rejected; only stopping, or the end of the process,
 *   drops it, and then the queue delivers it again. Storing it again changes nothing: its events have identities.
 * - It is acknowledged after its events have committed, never before.
 * - It is rejected only for what would be the same the next time. Everything else (the database or the queue away, too
 *   much waiting) is waited for.
 * - What is under way is bounded; while there is no room, nothing is read, and the queue keeps what comes.
 *
 * Each entry is a request of its own to ingest, which joins them into batches as it joins those of HTTP, and fails an
 * entry that the database refuses alone.
 */

export interface ConsumerOptions<Entry extends SourceEntry> {
  source: Source<Entry>;
  ingest: Pick<Ingest, 'store'>;
  tenants: Pick<TenantDirectory, 'stateOf' | 'forget'>;
  rules: EntryRules;
  /** What may be under way at a time. */
  room: { rows: number; bytes: number };
  /** @throws {TidemarkError} `idempotency_key_reused` for an increment that is stored, and was another one. */
  requireSame(increment: UsageEvent): Promise<void>;
  metrics: SourceMetrics;
  /** Told of what is wrong with the events of an entry. */
  onFaults?(faults: readonly EventFault[], entry: Entry): void;
  log: Logger;
}

/** What an entry is rejected for once it is known what it holds. */
const FINAL = new Set<ErrorCode>([
  'event_rejected_by_database',
  'transaction_too_large',
  'idempotency_key_reused',
]);
const isFinal = (error: unknown): error is TidemarkError =>
  error instanceof TidemarkError && FINAL.has(error.code);

/** Events parsed before others get their turn of the event loop. */
const EVENTS_PER_TURN = 500;
/** Pauses between two tries, in ms: the first, and the longest. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;
/** Failures after which a queue that has not been there yet is said to be away: connecting takes its time. */
const NEWS_AFTER = 4;
/** How often rejections are logged at most, in ms. */
const LOG_EVERY_MS = 10_000;

/** Thrown to drop an entry because the service stops. */
class Stopped extends Error {}

export class Consumer<Entry extends SourceEntry> {
  private readonly options: ConsumerOptions<Entry>;
  private readonly stopping = new AbortController();
  private readonly underWay = new Map<string, Entry>();
  private readonly room: Room;
  private readonly labels: { source: string };
  /** Settled and not acknowledged yet. */
  private settled: { entry: Entry; resolve: () => void; reject: (error: Error) => void }[] = [];
  private working = 0;
  private onIdle: (() => void) | undefined;
  private loop: Promise<void> | undefined;
  private closed: Promise<void> | undefined;
  private healthy: boolean | null = null;
  private rejections = 0;
  private loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ConsumerOptions<Entry>) {
    const { source, metrics, room } = options;
    this.options = options;
    setMaxListeners(0, this.stopping.signal); // as many as entries that wait
    this.room = new Room(room);
    this.labels = { source: source.name };
    metrics.watch({
      name: source.name,
      healthy: () => this.healthy === true,
      status: () => source.status(),
    });
  }

  start(): void {
    this.loop ??= this.run();
  }

  /**
   * Reads nothing more; resolves when everything that had been read is acknowledged, or, where it would have to wait
   * for something, dropped. Without ingest that is everything not yet stored.
   */
  stop(): Promise<void> {
    this.stopping.abort();
    this.closed ??= this.finish();
    return this.closed;
  }

  private async finish(): Promise<void> {
    await this.loop;
    if (this.working > 0) {
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
    }
    await this.options.source.close();
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.stopping.signal.aborted) {
      let entries: Entry[];
      try {
        entries = await this.options.source.read();
        failures = 0;
        this.report(true);
      } catch (error) {
        if (this.healthy || failures >= NEWS_AFTER) this.report(false, error);
        await sleep(pauseMs(failures++), undefined, { signal: this.stopping.signal }).catch(() => undefined);
        continue;
      }
      await this.takeUp(entries);
    }
  }

  private async takeUp(entries: Entry[]): Promise<void> {
    let events = 0;
    for (const entry of entries) {
      // Delivered again while we are at it; unless the queue was removed and a new one gives the same name away.
      if (this.underWay.get(entry.id)?.body.equals(entry.body)) continue;
      this.underWay.set(entry.id, entry);
      if (entry.redelivered) this.options.metrics.reclaimed.inc(this.labels);
      events += await this.begin(entry);
      if (events >= EVENTS_PER_TURN) {
        events = 0;
        await turn();
      }
    }
  }

  /** Finds out what the entry holds, and sees to the rest of its way without waiting for it. @returns its events. */
  private async begin(entry: Entry): Promise<number> {
    const { tenants, rules, source } = this.options;
    const bytes = entry.body.length;
    let rows = 1;
    let rest: () => Promise<void>;
    try {
      const accepted = await this.untilDone(() => acceptEntry(entry, rules, tenants, source.name));
      if (accepted.rejection) rest = () => this.reject(entry, accepted.rejection);
      else {
        rows = accepted.events.length;
        rest = () => this.store(entry, accepted.events, accepted.flow);
      }
    } catch (error) {
      this.forget(entry);
      if (error instanceof Stopped) return 0;
      throw error;
    }
    await this.room.take(rows, bytes);
    this.working++;
    void rest()
      .catch((error) => {
        if (!(error instanceof Stopped))
          this.options.log.error({ err: error }, 'an entry of a queue was dropped');
      })
      .finally(() => {
        this.forget(entry);
        this.room.give(rows, bytes);
        this.working--;
        if (this.working === 0) this.onIdle?.();
      });
    return rows;
  }

  private async store(entry: Entry, events: UsageEvent[], flow: string): Promise<void> {
    const { ingest, requireSame } = this.options;
    let result: WriteResult;
    try {
      result = await this.untilDone(() => ingest.store(events, entry.body.length, flow, undefined, 'tell'));
      if (entry.idempotencyKey !== null && result.duplicates > 0) {
        await this.untilDone(() => requireSame(events[0]!));
      }
    } catch (error) {
      if (!isFinal(error)) throw error;
      const rejection = { code: error.code, message: messageOf(error) };
      return this.reject(entry, error.errors ? { ...rejection, faults: error.errors } : rejection);
    }
    await this.acknowledge(entry);
    this.count(result.accepted > 0 ? 'stored' : 'duplicate');
  }

  private async reject(entry: Entry, rejection: Rejection): Promise<void> {
    await this.untilDone(() => this.options.source.reject(entry, rejection));
    this.count('rejected');
    this.options.metrics.rejected.inc({ ...this.labels, reason: rejection.code });
    if (rejection.faults) this.options.onFaults?.(rejection.faults, entry);
    this.rejections++;
    if (performance.now() < this.loggedAt + LOG_EVERY_MS) return;
    this.loggedAt = performance.now();
    this.options.log.warn(
      {
        ...this.labels,
        entry: entry.id,
        code: rejection.code,
        reason: rejection.message,
        since: this.rejections,
      },
      'an entry of a queue became a dead letter',
    );
    this.rejections = 0;
  }

  /** Together with what else is settled in this turn of the event loop: a batch commits for many entries at once. */
  private acknowledge(entry: Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.settled.push({ entry, resolve, reject });
      if (this.settled.length === 1) setImmediate(() => void this.acknowledgeSettled());
    });
  }

  private async acknowledgeSettled(): Promise<void> {
    const settled = this.settled.splice(0);
    try {
      await this.untilDone(() => this.options.source.acknowledge(settled.map(({ entry }) => entry)));
      for (const { resolve } of settled) resolve();
    } catch (error) {
      for (const { reject } of settled) reject(error as Error);
    }
  }

  /** Repeats what fails for a reason that will pass. @throws {Stopped} and what will not. */
  private async untilDone<Result>(work: () => Promise<Result>): Promise<Result> {
    for (let failures = 0; ; failures++) {
      try {
        return await work();
      } catch (error) {
        if (isFinal(error)) throw error;
        const code = error instanceof TidemarkError ? error.code : 'away';
        if (this.stopping.signal.aborted) throw new Stopped();
        this.options.metrics.retries.inc({ ...this.labels, reason: code });
        await sleep(pauseMs(failures), undefined, { signal: this.stopping.signal }).catch(() => undefined);
      }
    }
  }

  private forget(entry: Entry): void {
    if (this.underWay.get(entry.id) === entry) this.underWay.delete(entry.id);
  }

  private count(outcome: 'stored' | 'duplicate' | 'rejected'): void {
    this.options.metrics.entries.inc({ ...this.labels, outcome });
  }

  private report(healthy: boolean, cause?: unknown): void {
    if (this.healthy === healthy) return;
    const { log } = this.options;
    if (healthy) log.info(this.labels, 'queue is read');
    else log.warn({ ...this.labels, err: cause }, 'queue cannot be read; trying again');
    this.healthy = healthy;
  }
}

/** What the database said is worth more than that it said no. */
function messageOf(error: TidemarkError): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** Doubles up to the longest, of which a random half is left out so that entries do not return in step. */
function pauseMs(failures: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures) * (0.5 + Math.random() / 2);
}
