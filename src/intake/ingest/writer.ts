import { setTimeout as sleep } from 'node:timers/promises';
import {
  errorCode,
  INTEREST_CHANGED,
  INTEREST_UNKNOWN,
  LOCK_NOT_AVAILABLE,
  type Remedy,
  remedyFor,
  UNDEFINED_TABLE,
  UNIQUE_VIOLATION,
  WINDOW_CLOSED,
} from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { Batch, joinResults, type Refusal, type WriteRequest, type WriteResult } from './batch.ts';
import {
  type Attempt,
  type BatchTransactionOptions,
  BatchTransactions,
  type Committed,
  type Path,
} from './batchTransactions.ts';
import { refusalOf, refused, tooLarge, unavailable } from './writeFailures.ts';

export interface WriterOptions extends BatchTransactionOptions {
  log: Logger;
  /** How long one batch may take, repetitions included, in ms. */
  deadlineMs: number;
  /** Told of the rows that a commit added, before their requests are answered. */
  onStored?(rows: UsageEvent[]): void;
  /** Told when a commit may have left messages in the outbox. */
  onMessages?(): void;
}

/** Repeating now would not help. */
const GIVEN_UP = new Set<Remedy>(['unavailable', 'suspect', 'divide']);

/** Days whose chunks, with their indexes, need a hundred locks at most: fewer than any server has room for. */
const FEW_DAYS = 8;
/** How often a request of few days is tried while there are no locks or memory for it: about two seconds. */
const TRIES_OF_FEW_DAYS = 8;

/** Events of one request that are left out, each for itself, before it is refused as a whole: each costs transactions. */
const MAX_REFUSED = 100;

/**
 * Writes batches, one at a time, on a connection of its own, and decides what is done about what goes wrong.
 *
 * Each batch first takes the direct path, and where an id of it is known the claiming path (BatchTransactions). A row
 * that the database refuses fails its own request: the batch is halved until that request stands alone; so does one
 * that asks for more locks or memory than a transaction may have. A connection lost around the commit is cleared up by
 * asking the server what became of the transaction.
 */
export class Writer {
  private readonly options: WriterOptions;
  private readonly transactions: BatchTransactions;
  /** When the batch at hand is given up, ms since the epoch. */
  private until = 0;

  constructor(options: WriterOptions) {
    this.options = options;
    this.transactions = new BatchTransactions(options);
  }

  /** Writes the requests in as few transactions as they allow. Never throws: a failure is its request's Error. */
  async write(requests: WriteRequest[]): Promise<(WriteResult | Error)[]> {
    this.until = Date.now() + this.options.deadlineMs;
    return this.writeOn('direct', requests);
  }

  async close(): Promise<void> {
    await this.transactions.close();
  }

  private async writeOn(firstPath: Path, requests: WriteRequest[]): Promise<(WriteResult | Error)[]> {
    const batch = new Batch(requests);
    let path = firstPath;
    let asked = false;
    for (let tries = 0; ; tries++) {
      const attempt: Attempt = { until: this.until, xid: null, outcome: null };
      try {
        return this.done(batch, await this.transactions.write(path, batch, attempt));
      } catch (error) {
        const code = errorCode(error);
        if (code === WINDOW_CLOSED) {
          path = 'claiming'; // which holds the lock before it decides what is late
          continue;
        }
        if (code === UNIQUE_VIOLATION && path === 'direct') {
          this.options.metrics.slowPaths.inc();
          path = 'claiming';
          continue;
        }
        if (code === LOCK_NOT_AVAILABLE && path === 'direct') {
          this.options.metrics.retries.inc({ sqlstate: code });
          path = 'claiming'; // which may wait, since it claims in one order
          continue;
        }
        if (code === UNDEFINED_TABLE && this.transactions.forgetChunks()) continue;
        if (code === INTEREST_CHANGED && Date.now() < this.until) {
          await this.learnWhoListens();
          continue;
        }
        const alone = requests.length === 1;
        if (code === INTEREST_UNKNOWN && alone && !asked) {
          asked = true;
          await this.learnWhoListens(); // that rule may be gone
          continue;
        }
        const waits = alone && batch.days <= FEW_DAYS && tries < TRIES_OF_FEW_DAYS;
        const remedy = code === INTEREST_CHANGED ? 'unavailable' : remedyOf(error, waits);
        if (remedy === 'reject' || (remedy === 'suspect' && !alone) || isTooLarge(remedy, batch)) {
          return this.isolate(path, requests, error);
        }
        if (remedy === 'reconnect') this.transactions.drop();
        if (GIVEN_UP.has(remedy) || Date.now() >= this.until) {
          this.options.log.error({ err: error, rows: batch.rows.length }, 'batch not written');
          return requests.map(() => unavailable(error));
        }
        this.options.metrics.retries.inc({ sqlstate: code ?? 'connection' });
        if (remedy === 'reconnect' && attempt.outcome && (await this.transactions.committed(attempt))) {
          return this.done(batch, attempt.outcome);
        }
        path = 'claiming'; // safe whatever became of the last attempt
        await sleep(backoffMs(tries));
      }
    }
  }

  private done(batch: Batch, { stored, known, told }: Committed): WriteResult[] {
    this.options.onStored?.(stored);
    if (told) this.options.onMessages?.();
    return batch.results(known);
  }

  /** A failure is met by the next attempt: the same refusal, or the connection. */
  private async learnWhoListens(): Promise<void> {
    try {
      await this.transactions.learnWhoListens();
    } catch (error) {
      this.options.log.warn({ err: error }, 'who listens could not be read');
      this.transactions.drop();
      await sleep(backoffMs(0));
    }
  }

  /** Halves the requests until the one that carries the refused row stands alone, and fails that one. */
  private async isolate(
    path: Path,
    requests: WriteRequest[],
    error: unknown,
  ): Promise<(WriteResult | Error)[]> {
    const half = requests.length >> 1;
    if (half > 0) {
      return [
        ...(await this.writeOn(path, requests.slice(0, half))),
        ...(await this.writeOn(path, requests.slice(half))),
      ];
    }
    const request = requests[0]!;
    if (request.onRefused === 'skip') return [await this.storeOthers(path, request, error)];
    this.options.metrics.rejectedRequests.inc();
    if (remedyFor(error) === 'divide') return [tooLarge(error)];
    return [refused(error, request.onRefused === 'tell' ? await this.firstRefused(request, error) : null)];
  }

  /**
   * Halves a request until each event that the database refuses stands alone, and leaves those out. Each part is a
   * transaction: when one cannot be written, the request fails, and those before it are duplicates the next time.
   */
  private async storeOthers(path: Path, request: WriteRequest, error: unknown): Promise<WriteResult | Error> {
    const { events } = request;
    const half = events.length >> 1;
    if (half === 0)
      return { accepted: 0, duplicates: 0, duplicateFlags: null, refused: [refusalOf(0, error)] };
    let joined: WriteResult = { accepted: 0, duplicates: 0, duplicateFlags: null };
    let done = 0;
    for (const part of [events.slice(0, half), events.slice(half)]) {
      const [result] = await this.writeOn(path, [{ ...request, events: part, rows: part.length }]);
      if (result instanceof Error) return result;
      joined = joinResults(joined, done, result!, part.length);
      done += part.length;
      if (joined.refused!.length > MAX_REFUSED) return refused(error, null);
    }
    return joined;
  }

  /** The first event that the database refuses, found by trials that leave nothing; null when that cannot be told. */
  private async firstRefused({ events, ...request }: WriteRequest, error: unknown): Promise<Refusal | null> {
    let taken = 0;
    let first = refusalOf(events.length - 1, error);
    while (first.index > taken && Date.now() < this.until) {
      const rows = taken + Math.ceil((first.index - taken) / 2);
      const batch = new Batch([{ ...request, events: events.slice(0, rows) }]);
      try {
        await this.transactions.tryOut(batch, this.until);
        taken = rows;
      } catch (trialError) {
        const remedy = remedyFor(trialError);
        if (remedy === 'reconnect') this.transactions.drop();
        if (remedy !== 'reject') return null;
        first = refusalOf(rows - 1, trialError);
      }
    }
    return first.index === taken ? first : null;
  }
}

/** 20 ms doubling to 500 ms, of which a random half is left out so that writers do not return in step. */
function backoffMs(tries: number): number {
  return Math.min(500, 20 * 2 ** tries) * (0.5 + Math.random() / 2);
}

/** @param waits whether somebody else is who asks for too much, and may have left the next time. */
function remedyOf(error: unknown, waits: boolean): Remedy {
  const remedy = remedyFor(error);
  return remedy === 'divide' && waits ? 'retry' : remedy;
}

/** A single event cannot be written in smaller transactions: it may come again when others have left. */
function isTooLarge(remedy: Remedy, batch: Batch): boolean {
  return remedy === 'divide' && batch.rows.length > 1;
}
