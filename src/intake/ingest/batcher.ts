import { TidemarkError } from '../../model/errors.ts';
import { type BatchItem, type Bounds, Entry, FairQueue, type Share } from './fairQueue.ts';

export type { BatchItem } from './fairQueue.ts';

/*
 * Group commit. Items wait in one queue; a lane (a writer with its own connection) takes as much as fits into one
 * batch as soon as it is free, so the next batch fills while the last one commits and nobody waits for a timer. While
 * one lane runs, another is used only for a batch that is worth a transaction of its own, or when the first one takes
 * its time: few small requests make one larger batch rather than two small ones.
 *
 * Each flow that waits gets a fair share (fairQueue.ts). A batch under way cannot be interrupted, so while items of more
 * than one flow come in, what goes ahead of the others is not in one batch with them, and one lane is kept for it: a
 * request of a flow that asks for little waits for nobody who asks for much. And while such flows are there, those that
 * take turns rest after each batch for as long as it took: they leave the processors and the database to the others.
 * One flow alone has everything.
 *
 * Invariants:
 * - an item is in exactly one place: the queue, one running batch, or settled;
 * - what waits stays within the bounds of the queue, but that a single item larger than a bound is taken when it is
 *   empty;
 * - every item settles by its deadline: while it waits it is taken out unwritten, while it runs its outcome is
 *   reported as unknown and the batch goes on. One whose time began before it was queued is reported as unknown too.
 */

export interface BatcherOptions<Item, Result> {
  lanes: number;
  /** Bounds of one batch. A single larger item makes a batch of its own. */
  batchRows: number;
  batchBytes: number;
  /** Rows of one batch of those who take turns, while flows share the lanes; its bytes in proportion. */
  sharedBatchRows: number;
  /** Rows that must wait before another lane is used beside a running one. */
  laneRows: number;
  /** Bounds of what may wait; beyond them `add` refuses. */
  queueRows: number;
  queueBytes: number;
  /** How long an item may take from `add` to its result, in ms. */
  deadlineMs: number;
  /**
   * Writes one batch: one result per item, in order. An item's failure is its Error; a throw fails all of them.
   *
   * @param waitedMs how long the item has waited that has waited longest.
   */
  write(items: Item[], lane: number, waitedMs: number): Promise<(Result | Error)[]>;
}

class Waiting<Item extends BatchItem, Result> extends Entry {
  declare readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
  settled = false;
  /** For a deadline that does not follow from when it was queued. */
  timer: NodeJS.Timeout | undefined;

  constructor(item: Item, since: number, resolve: (result: Result) => void, reject: (error: Error) => void) {
    super(item, since);
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** How long after items of two flows have met they are taken to compete, in ms. */
const SHARED_MS = 5_000;
/** How often deadlines and lanes are looked at, in ms. */
const SWEEP_MS = 20;
/** How long an item may wait before another lane is used for it, in ms. */
const LANE_WAIT_MS = 20;
/** How long a batch of those who take turns keeps the others of them out of the last lane, in ms: one that hangs must not. */
const TURN_MS = 250;
/** How long after a flow that asks for little those that take turns rest between their batches, in ms. */
const GIVE_WAY_MS = 1_000;
/** How long they rest at most, in ms: a batch that took long says nothing of the next. */
const MAX_REST_MS = 100;

interface Running<E> {
  readonly batch: E[];
  readonly share: Share;
  /** ms since the epoch. */
  readonly since: number;
}

export class Batcher<Item extends BatchItem, Result> {
  private readonly options: BatcherOptions<Item, Result>;
  private readonly queue: FairQueue<Waiting<Item, Result>>;
  private readonly wholeBatch: Bounds;
  private readonly sharedBatch: Bounds;
  private readonly idle: number[];
  private readonly running = new Set<Running<Waiting<Item, Result>>>();
  private readonly sweeper: NodeJS.Timeout;
  private latestFlow: string | undefined;
  /** Until when items of several flows are expected, ms since the epoch. */
  private sharedUntil = 0;
  /** Until when flows that ask for little are expected, ms since the epoch. */
  private giveWayUntil = 0;
  /** Until when those that take turns rest, ms since the epoch. */
  private restUntil = 0;
  private pumpScheduled = false;
  private closed = false;
  /** Settles, after `close`, when nothing waits or runs. */
  private emptied: Promise<void> | undefined;
  private onIdle: (() => void) | undefined;

  constructor(options: BatcherOptions<Item, Result>) {
    this.options = options;
    const { batchRows, batchBytes, sharedBatchRows, queueRows, queueBytes, lanes } = options;
    this.wholeBatch = { rows: batchRows, bytes: batchBytes };
    const rows = Math.min(sharedBatchRows, batchRows);
    this.sharedBatch = { rows, bytes: (batchBytes * rows) / batchRows };
    this.queue = new FairQueue({ rows: queueRows, bytes: queueBytes }, this.wholeBatch);
    this.idle = Array.from({ length: lanes }, (_, lane) => lane);
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
  }

  /** What waits now, in rows and bytes, and how many batches run. */
  get depth(): { rows: number; bytes: number; running: number } {
    return { rows: this.queue.rows, bytes: this.queue.bytes, running: this.running.size };
  }

  /** Rows of a flow that wait. */
  rowsOf(flow: string): number {
    return this.queue.rowsOf(flow);
  }

  /** How long what waits longest has waited, in ms; 0: nothing waits. */
  get ageMs(): number {
    return this.queue.length === 0 ? 0 : Date.now() - this.queue.oldest!.since;
  }

  /**
   * Refuses what `add` would refuse, before the rows are known.
   *
   * @throws {TidemarkError} `overloaded`, `shutting_down`.
   */
  check(flow: string, rows: number, bytes: number): void {
    if (this.closed) {
      throw new TidemarkError('shutting_down', 'the service is stopping', { retryAfterSeconds: 1 });
    }
    if (!this.queue.hasRoom(flow, rows, bytes)) {
      throw new TidemarkError('overloaded', 'more events are waiting than can be written; try again', {
        retryAfterSeconds: 1,
      });
    }
  }

  /**
   * Queues an item; the promise settles with its batch.
   *
   * @throws {TidemarkError} at once: `overloaded` when the queue, or what one flow may have of it, is full,
   * `shutting_down` after `close`; as a rejection: `deadline_exceeded` when its time is up, in which case it may or
   * may not have been written.
   * @param since when its time began, in ms since the epoch: its caller may have waited for something else before.
   */
  add(item: Item, since = Date.now()): Promise<Result> {
    this.check(item.flow, item.rows, item.bytes);
    return new Promise((resolve, reject) => {
      const now = Date.now();
      const leftMs = since + this.options.deadlineMs - now;
      if (leftMs <= 0) {
        reject(timeUp('was not written: its time was up before it could be queued'));
        return;
      }
      if (item.flow !== this.latestFlow) {
        if (this.latestFlow !== undefined) this.sharedUntil = now + SHARED_MS;
        this.latestFlow = item.flow;
      }
      const waiting = new Waiting(item, now, resolve, reject);
      if (now - since > SWEEP_MS) {
        waiting.timer = setTimeout(() => settle(waiting, timeUp(UNKNOWN)), leftMs).unref();
      }
      this.queue.push(waiting);
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
    while (this.idle.length > 0 && this.queue.length > 0) {
      const now = Date.now();
      const sharing = now < this.sharedUntil;
      const share = this.nextShare(sharing, now);
      if (!share) break;
      const bounds = sharing && share !== 'ahead' ? this.sharedBatch : this.wholeBatch;
      const batch = this.queue.take(bounds, share);
      if (share === 'ahead' && batch.some(({ item }) => !this.queue.holds(item.flow))) {
        this.giveWayUntil = now + GIVE_WAY_MS;
      }
      if (batch.length > 0) void this.run(batch, share, this.idle.pop()!);
    }
    if (this.queue.length === 0 && this.running.size === 0) this.onIdle?.();
  }

  /** What the lane that is free is used for, if for anything yet. */
  private nextShare(sharing: boolean, now: number): Share | undefined {
    const { lanes, laneRows } = this.options;
    const { rows, rowsAhead, oldest } = this.queue;
    const worthALane = this.running.size === 0 || rows >= laneRows || oldest!.since <= now - LANE_WAIT_MS;
    if (!sharing || lanes === 1) return worthALane ? 'all' : undefined;
    const rowsInTurn = rows - rowsAhead;
    let turns = 0;
    for (const { share, since } of this.running) if (share !== 'ahead' && since > now - TURN_MS) turns++;
    const resting = now < this.restUntil && !this.closed;
    if (rowsInTurn > 0 && turns === 0 && !resting) return 'turns';
    if (rowsAhead > 0) return worthALane || turns > 0 ? 'ahead' : undefined;
    return worthALane && turns < lanes - 1 && !resting ? 'turns' : undefined;
  }

  private async run(batch: Waiting<Item, Result>[], share: Share, lane: number): Promise<void> {
    const running = { batch, share, since: Date.now() };
    this.running.add(running);
    let oldest = running.since;
    for (const { since } of batch) if (since < oldest) oldest = since;
    let results: (Result | Error)[];
    try {
      results = await this.options.write(
        batch.map((entry) => entry.item),
        lane,
        running.since - oldest,
      );
    } catch (error) {
      results = batch.map(() => error as Error);
    }
    for (const [i, entry] of batch.entries()) settle(entry, results[i]!);
    this.running.delete(running);
    if (share === 'turns') this.rest(Date.now() - running.since);
    this.idle.push(lane);
    this.pump();
  }

  private rest(tookMs: number): void {
    const now = Date.now();
    if (now >= this.giveWayUntil) return;
    const restMs = Math.min(tookMs, MAX_REST_MS);
    this.restUntil = now + restMs;
    setTimeout(() => this.pump(), restMs);
  }

  /** Settles what is past its deadline, and uses another lane for what waits behind a slow one. */
  private sweep(): void {
    const overdue = Date.now() - this.options.deadlineMs;
    while (this.queue.length > 0 && this.queue.oldest!.since <= overdue) {
      settle(this.queue.dropOldest(), timeUp('was not written: its time was up while it waited'));
    }
    for (const { batch } of this.running) {
      for (const entry of batch) {
        if (entry.since <= overdue) {
          settle(entry, timeUp('is still being written; retry with the same event ids'));
        }
      }
    }
    if (this.queue.length > 0) this.schedulePump();
  }
}

function settle<Item extends BatchItem, Result>(entry: Waiting<Item, Result>, result: Result | Error): void {
  if (entry.settled) return;
  entry.settled = true;
  clearTimeout(entry.timer);
  if (result instanceof Error) entry.reject(result);
  else entry.resolve(result);
}

const UNKNOWN = 'is still being written; retry with the same event ids';

function timeUp(what: string): TidemarkError {
  return new TidemarkError('deadline_exceeded', `the request ${what}`, { retryAfterSeconds: 1 });
}
