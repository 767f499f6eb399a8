import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ClosedFrontier } from './closedFrontier.ts';
import { overdueMs } from './overdue.ts';

/** Metrics of closing windows and keeping the rollups up to them. Counts are of this instance. */
export class WindowMetrics {
  readonly won: Counter;
  readonly lost: Counter;
  readonly held: Counter;
  readonly lockWait: Histogram;
  readonly closeLag: Histogram;
  readonly refresh: Histogram<'rollup'>;
  readonly conflicts: Counter<'at'>;
  readonly caughtUp: Counter;
  readonly pending: Gauge;

  /**
   * @param frontier how far this instance knows windows to be closed, and `graceMs`, how long they stay open after their
   * end. Left out where others tell of it.
   */
  constructor(registry: Registry, frontier?: ClosedFrontier, graceMs = 0) {
    const registers = [registry];
    const counter = (name: string, help: string) => new Counter({ name, help, registers });
    this.won = counter('tidemark_closing_won_total', 'Times this instance moved the closed windows on');
    this.lost = counter(
      'tidemark_closing_lost_total',
      'Times windows were due and another instance was closing them, or faster',
    );
    this.held = counter(
      'tidemark_closing_held_total',
      'Times windows were due and a batch had been under way for too long to wait for',
    );
    this.lockWait = new Histogram({
      name: 'tidemark_closing_lock_wait_seconds',
      help: 'Wait for the batches under way before windows close',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    });
    this.closeLag = new Histogram({
      name: 'tidemark_closing_lag_seconds',
      help: 'From the end of a window and its grace to its being closed',
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    });
    this.refresh = new Histogram({
      name: 'tidemark_refresh_seconds',
      help: 'Duration of a refresh of one rollup',
      labelNames: ['rollup'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
    this.conflicts = new Counter({
      name: 'tidemark_window_conflicts_total',
      help: '55P03, 40001 or 40P01 seen: batches kept the lock (closing), or another instance was refreshing, or packing (refresh)',
      labelNames: ['at'],
      registers,
    });
    this.caughtUp = counter(
      'tidemark_late_windows_refreshed_total',
      'Closed windows whose late events have been brought into the rollups',
    );
    this.pending = new Gauge({
      name: 'tidemark_late_windows_pending',
      help: 'Closed windows whose late events some rollup still lacks, in the whole database; at most 10000',
      registers,
    });
    if (!frontier) return;
    new Gauge({
      name: 'tidemark_closing_closed_until_timestamp_seconds',
      help: 'Unix time up to which windows are closed, as this instance last heard it; 0: not yet',
      registers,
      collect() {
        this.set(frontier.micros / 1_000_000);
      },
    });
    const beganMs = Date.now();
    new Gauge({
      name: 'tidemark_closing_overdue_seconds',
      help: 'For how long a window has been due that is not closed, as this instance knows it; 0: none is',
      registers,
      collect() {
        this.set(overdueMs(frontier.micros / 1_000 || beganMs, graceMs, Date.now()) / 1_000);
      },
    });
  }
}
