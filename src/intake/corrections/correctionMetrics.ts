import { Counter, Histogram, type Registry } from 'prom-client';

/** Metrics of corrections, of this instance. */
export class CorrectionMetrics {
  readonly corrections: Counter<'kind'>;
  readonly events: Counter<'kind'>;
  readonly retries: Counter;
  readonly seconds: Histogram<'kind'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.corrections = new Counter({
      name: 'tidemark_corrections_total',
      help: 'Corrections that have changed something, by kind: void, restore, amend, backfill, revert',
      labelNames: ['kind'],
      registers,
    });
    this.events = new Counter({
      name: 'tidemark_corrected_events_total',
      help: 'Events that corrections have taken out of what counts, put back, or put another version in the place of',
      labelNames: ['kind'],
      registers,
    });
    this.retries = new Counter({
      name: 'tidemark_correction_retries_total',
      help: "Corrections that were done again, since they met another's work or lost their connection",
      registers,
    });
    this.seconds = new Histogram({
      name: 'tidemark_correction_seconds',
      help: 'Time of a correction, from its turn to its commit',
      labelNames: ['kind'],
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 100, 300],
      registers,
    });
  }
}
