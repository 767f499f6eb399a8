import type pg from 'pg';
import {
  type ColumnstoreWrites,
  columnstoreWrites,
  type EventChunk,
  eventChunks,
  fallsBack,
} from '../../ground/db/columnstore.ts';
import { remedyFor } from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import type { ColumnsRule } from './layOut.ts';

/** How often the database is asked whether it can, in ms: what stands in the way comes and goes by hand. */
const LOOK_EVERY_MS = 60_000;
/** How often it is asked at most which chunks there are, in ms, while a batch lacks one. */
const CHUNKS_EVERY_MS = 100;
const DAY_MS = 86_400_000;

export interface ColumnsPathOptions {
  /** Rows of a tenant on a day that a batch has to have for columns; 0: never. */
  fromRows: number;
  /** How many days back: older ones are packed by then. */
  days: number;
  /** How long a time a segment may be of, in ms. */
  spanMs: number;
  log: Logger;
}

/**
 * Whether batches may be written into the columnstore at once. One for all writers.
 *
 * The database is asked before the first batch, and now and then. In between, TimescaleDB says by a WARNING when it has
 * written rows instead: from then on all is written as rows until the database says that it can again. Each change is
 * logged once.
 */
export class ColumnsPath {
  private readonly options: ColumnsPathOptions;
  private state: ColumnstoreWrites | undefined;
  private nextLook = 0;
  private chunks: readonly EventChunk[] = [];
  private lacksChunk = false;
  private nextChunks = 0;

  constructor(options: ColumnsPathOptions) {
    this.options = options;
  }

  /** What is worth columns now: nothing where there are none to be had. */
  get rule(): ColumnsRule {
    const today = Math.floor(Date.now() / DAY_MS);
    const { days, spanMs } = this.options;
    return {
      fromRows: this.able ? this.options.fromRows : Number.POSITIVE_INFINITY,
      sinceMicros: (today - days) * DAY_MS * 1_000,
      spanMicros: spanMs * 1_000,
      chunkAt: (micros) =>
        this.chunks.find(({ fromMicros, toMicros }) => micros >= fromMicros && micros < toMicros),
    };
  }

  get able(): boolean {
    return this.options.fromRows > 0 && this.state?.able === true;
  }

  /**
   * Asks the database where it is time to.
   *
   * @throws what ends the connection. Whatever else is wrong with the question is what stands in the way.
   */
  async look(client: pg.Client): Promise<void> {
    const now = performance.now();
    const lacking = this.lacksChunk && now >= this.nextChunks;
    if (this.options.fromRows === 0 || (now < this.nextLook && !lacking)) return;
    this.lacksChunk = false; // the other writers need not ask
    this.nextChunks = now + CHUNKS_EVERY_MS;
    try {
      if (now >= this.nextLook) {
        this.nextLook = now + LOOK_EVERY_MS;
        this.become(await columnstoreWrites(client));
      }
      if (this.able) this.chunks = await eventChunks(client);
    } catch (error) {
      if (remedyFor(error) === 'reconnect') {
        this.nextLook = 0;
        throw error;
      }
      this.become({ able: false, expected: false, why: (error as Error).message });
    }
  }

  /** Takes note of a batch that has made a chunk, as a rule, and would have had more columns with it. */
  lacked(): void {
    this.lacksChunk = true;
  }

  /** One of the chunks is gone. @returns whether any had been known. */
  forgetChunks(): boolean {
    const known = this.chunks.length > 0;
    this.chunks = [];
    return known;
  }

  /** Takes note of what the server says by the way. @returns whether it has written rows in place of columns. */
  hear({ message }: { message?: string | undefined }): boolean {
    if (!fallsBack({ message })) return false;
    this.become({ able: false, expected: false, why: message! });
    this.nextLook = performance.now() + LOOK_EVERY_MS;
    return true;
  }

  private become(next: ColumnstoreWrites): void {
    const before = this.state;
    this.state = next;
    if (next.able) {
      if (before !== undefined && !before.able)
        this.options.log.info('batches go into the columnstore again');
    } else if (!next.expected && (before === undefined || before.able)) {
      this.options.log.warn(
        { why: next.why },
        'batches cannot go into the columnstore, and are written as rows',
      );
    }
  }
}
