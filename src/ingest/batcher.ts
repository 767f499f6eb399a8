import { TidemarkError } from '../errors.ts';

/*
 * Group commit. Items wait in one queue; a lane (a writer with its own connection) takes as much as fits into one
 * batch as soon as it is free, so the next batch fills while the last one commits and nobody waits for a timer. While
 * one lane runs, another is used only for a batch that is worth a transaction of its own, or when the first one takes
 * its time: few small requests make one larger batch rather than two small ones.
 *
 * Invariants:
 * - an item is in exactly one place: the queue, one running batch, or settled;
 * - queuedRows and queuedBytes are the sums over the queue, and stay within their bounds, but that a single item
 *   larger than a bound is taken when the queue is empty;
 * - every item settles by its deadline: while it waits it is taken out unwritten, while it runs its outcome is
 *   reported as unknown and the batch goes on.
 */

export interface BatchItem {
  readonly rows: number;
  readonly bytes: number;
}

export interface BatcherOptions<Item, Result> {
  lanes: number;
  /** Bounds of one batch. A single larger item makes a batch of its own. */
  batchRows: number;
  batchBytes: number;
  /** Rows that must wait before another lane is used beside a running one. */
  laneRows: number;
  /** Bounds of what may wait; beyond them `add` refuses. */
  queueRows: number;
  queueBytes: number;
  /** How long an item may take from `add` to its result, in ms. */
  deadlineMs: number;
  /** Writes one batch: one result per item, in order. An item's failure is its Error; a throw fails all of them. */
  write(items: Item[], lane: number): Promise<(Result | Error)[]>;
}

interface Entry<Item, Result> {
  item: Item;
  /** ms since the epoch. */
  since: number;
  settled: boolean;
  resolve(result: Result): void;
  reject(error: Error): void;
}

/** How often deadlines and lanes are looked at, in ms. */
const SWEEP_MS = 20;
/** How long an item may wait before another lane is used for it, in ms. */
const LANE_WAIT_MS = 20;

export class Batcher<Item extends BatchItem, Result> {
  private readonly options: BatcherOptions<Item, Result>;
  private readonly queue: Entry<Item, Result>[] = [];
  private readonly idle: number[];
  private readonly running = new Set<Entry<Item, Result>[]>();
  private readonly sweeper: NodeJS.Timeout;
  private queuedRows = 0;
  private queuedBytes = 0;
  private pumpScheduled = false;
  private closed = false;
  /** Settles, after `close`, when nothing waits or runs. */
  private emptied: Promise<void> | undefined;
  private onIdle: (() => void) | undefined;

  constructor(options: BatcherOptions<Item, Result>) {
    this.options = options;
    this.idle = Array.from({ length: options.lanes }, (_, lane) => lane);
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** What waits now, in rows and bytes, and how many batches run. */
  get depth(): { rows: number; bytes: number; running: number } {
    return { rows: this.queuedRows, bytes: this.queuedBytes, running: this.running.size };
  }

  /**
   * Queues an item; the promise settles with its batch.
   *
   * @throws {TidemarkError} at once: `overloaded` when the queue is full, `shutting_down` after `close`; as a
   * rejection: `deadline_exceeded` when its time is up, in which case it may or may not have been written.
   */
  add(item: Item): Promise<Result> {
    if (this.closed) {
      throw new TidemarkError('shutting_down', 'the service is stopping', { retryAfterSeconds: 1 });
    }
    const { queueRows, queueBytes } = this.options;
    const full = this.queuedRows + item.rows > queueRows || this.queuedBytes + item.bytes > queueBytes;
    if (full && this.queue.length > 0) {
      throw new TidemarkError('overloaded', 'more events are waiting than can be written; try again', {
        retryAfterSeconds: 1,
      });
    }
    return new Promise((resolve, reject) => {
      this.queue.push({ item, since: Date.now(), settled: false, resolve, reject });
      this.queuedRows += item.rows;
      this.queuedBytes += item.bytes;
      this.schedulePump();
    });
  }

  /** Stops taking items and waits until everything queued has been written. */
  async close(): Promise<void> {
    this.closed = true;
    this.emptied ??= new Promise((resolve) => {
      this.onIdle = resolve;
    });
    this.pump();
    await this.emptied;
    clearInterval(this.sweeper);
  }

  /** At the end of the event loop's turn, so that requests read in one turn share a batch. */
  private schedulePump(): void {
    if (this.pumpScheduled || this.idle.length === 0) return;
    this.pumpScheduled = true;
    setImmediate(() => {
      this.pumpScheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    while (this.idle.length > 0 && this.queue.length > 0 && this.worthALane()) {
      void this.run(this.takeBatch(), this.idle.pop()!);
    }
    if (this.queue.length === 0 && this.running.size === 0) this.onIdle?.();
  }

  private worthALane(): boolean {
    if (this.running.size === 0 || this.queuedRows >= this.options.laneRows) return true;
    return this.queue[0]!.since <= Date.now() - LANE_WAIT_MS;
  }

  private takeBatch(): Entry<Item, Result>[] {
    const { batchRows, batchBytes } = this.options;
    let rows = 0;
    let bytes = 0;
    let count = 0;
    for (const { item } of this.queue) {
      if (count > 0 && (rows + item.rows > batchRows || bytes + item.bytes > batchBytes)) break;
      rows += item.rows;
      bytes += item.bytes;
      count++;
    }
    this.queuedRows -= rows;
    this.queuedBytes -= bytes;
    return this.queue.splice(0, count);
  }

  private async run(batch: Entry<Item, Result>[], lane: number): Promise<void> {
    this.running.add(batch);
    let results: (Result | Error)[];
    try {
      results = await this.options.write(
        batch.map((entry) => entry.item),
        lane,
      );
    } catch (error) {
      results = batch.map(() => error as Error);
    }
    for (const [i, entry] of batch.entries()) settle(entry, results[i]!);
    this.running.delete(batch);
    this.idle.push(lane);
    this.pump();
  }

  /** Settles what is past its deadline, and uses another lane for what waits behind a slow one. */
  private sweep(): void {
    const overdue = Date.now() - this.options.deadlineMs;
    while (this.queue.length > 0 && this.queue[0]!.since <= overdue) {
      const entry = this.queue.shift()!;
      this.queuedRows -= entry.item.rows;
      this.queuedBytes -= entry.item.bytes;
      settle(entry, timeUp('was not written: its time was up while it waited'));
    }
    for (const batch of this.running) {
      for (const entry of batch) {
        if (entry.since <= overdue) {
          settle(entry, timeUp('is still being written; retry with the same event ids'));
        }
      }
    }
    if (this.queue.length > 0) this.schedulePump();
  }
}

function settle<Item, Result>(entry: Entry<Item, Result>, result: Result | Error): void {
  if (entry.settled) return;
  entry.settled = true;
  if (result instanceof Error) entry.reject(result);
  else entry.resolve(result);
}

function timeUp(what: string): TidemarkError {
  return new TidemarkError('deadline_exceeded', `the request ${what}`, { retryAfterSeconds: 1 });
}
