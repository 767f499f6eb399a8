import { Counter, Histogram, type Registry } from 'prom-client';

/** Metrics of closing and refreshing, of this instance. */
export class CloserMetrics {
  readonly won: Counter;
  readonly lost: Counter;
  readonly lockWait: Histogram;
  readonly closeLag: Histogram;
  readonly refresh: Histogram<'rollup'>;
  readonly conflicts: Counter;
  readonly caughtUp: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.won = new Counter({
      name: 'tidemark_closing_won_total',
      help: 'Times this instance moved the closed windows on',
      registers,
    });
    this.lost = new Counter({
      name: 'tidemark_closing_lost_total',
      help: 'Times windows were due and another instance was faster, or the lock was not to be had in time',
      registers,
    });
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
      name: 'tidemark_closing_conflicts_total',
      help: 'Rounds ended by 55P03: another instance was refreshing, or batches kept the lock',
      registers,
    });
    this.caughtUp = new Counter({
      name: 'tidemark_late_windows_refreshed_total',
      help: 'Closed windows whose late events have been brought into the rollups',
      registers,
    });
  }
}
