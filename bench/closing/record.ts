import type pg from 'pg';
import type { ClosedFrontier } from '../../src/sums/windows/closedFrontier.ts';
import type { WindowMetrics } from '../../src/sums/windows/windowMetrics.ts';

/** A duration in ms, and when it was over (ms since the epoch). */
export interface Sample {
  at: number;
  ms: number;
}

/** Windows that one step has closed. */
export interface Close {
  /** They end here or before; ms since the epoch of the events. */
  until: number;
  /** When the instance knew, ms since the epoch. */
  at: number;
  /** Which transactions had ended by then, as `pg_snapshot`. */
  snapshot: string;
}

/** What the instances of one process have lived through, sample by sample: a histogram would round p99. */
export class ClosingRecord {
  readonly closes: Close[] = [];
  readonly lockWaits: Sample[] = [];
  /** Refreshes of usage_30s. */
  readonly refreshes: Sample[] = [];
  readonly counts = { lost: 0, held: 0, conflictsClosing: 0, conflictsRefresh: 0 };
  /** What the loops have logged as warnings. */
  readonly warnings: string[] = [];
  private readonly snapshots: Promise<unknown>[] = [];
  private readonly onlooker: pg.Client;

  /** @param onlooker a connection that is used for nothing else while windows close. */
  constructor(onlooker: pg.Client) {
    this.onlooker = onlooker;
  }

  /** Notes a close, and asks at once what a reader of these windows would have seen. */
  closed(untilMicros: number): void {
    const close: Close = { until: untilMicros / 1_000, at: now(), snapshot: '' };
    this.closes.push(close);
    this.snapshots.push(
      this.onlooker.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot').then(
        ({ rows }) => {
          close.snapshot = rows[0]!.snapshot;
        },
        (error: Error) => this.warnings.push(`no snapshot of a close: ${error.message}`),
      ),
    );
  }

  /** Resolves when the snapshots of all closes are there. */
  async complete(): Promise<void> {
    await Promise.all(this.snapshots);
  }

  /** Takes the place of the metrics of one instance, whose closer has this frontier. */
  asMetrics(frontier: ClosedFrontier): WindowMetrics {
    const { counts, lockWaits, refreshes } = this;
    const ignored = { inc() {}, set() {}, observe() {} };
    return {
      won: { inc: () => this.closed(frontier.micros) },
      lost: { inc: () => counts.lost++ },
      held: { inc: () => counts.held++ },
      lockWait: { observe: (seconds: number) => lockWaits.push({ at: now(), ms: seconds * 1_000 }) },
      conflicts: {
        inc: ({ at }: { at: string }) =>
          at === 'closing' ? counts.conflictsClosing++ : counts.conflictsRefresh++,
      },
      refresh: {
        startTimer: ({ rollup }: { rollup: string }) => {
          const from = performance.now();
          return () => {
            if (rollup === 'usage_30s') refreshes.push({ at: now(), ms: performance.now() - from });
          };
        },
      },
      closeLag: ignored, // in the database's terms, where time may run faster: computed from `closes` instead
      caughtUp: ignored,
      pending: ignored,
    } as unknown as WindowMetrics;
  }
}

/** Ms since the epoch, finer than Date.now(). */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
