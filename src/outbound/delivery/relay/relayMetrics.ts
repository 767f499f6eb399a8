import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

type Transport = 'webhook' | 'stream';

/** Metrics of messages on their way. Counts are of this instance, gauges of the whole database. */
export class RelayMetrics {
  readonly outcomes: Counter<'transport' | 'outcome'>;
  readonly attempts: Histogram<'transport'>;
  readonly waiting: Gauge;
  readonly oldest: Gauge;
  readonly pending: Gauge;
  readonly open: Gauge;
  readonly inFlight: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
    this.outcomes = new Counter({
      name: 'tidemark_deliveries_total',
      help: 'Attempts by outcome: delivered, failed (to be tried again), dead',
      labelNames: ['transport', 'outcome'],
      registers,
    });
    for (const transport of ['webhook', 'stream'] satisfies Transport[]) {
      for (const outcome of ['delivered', 'failed', 'dead']) this.outcomes.inc({ transport, outcome }, 0);
    }
    this.attempts = new Histogram({
      name: 'tidemark_delivery_attempt_seconds',
      help: 'Duration of an attempt, whatever came of it',
      labelNames: ['transport'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30],
      registers,
    });
    this.waiting = gauge('tidemark_outbox_waiting', 'Messages not yet made into deliveries; at most 10000');
    this.oldest = gauge(
      'tidemark_outbox_oldest_seconds',
      'Age of the oldest message not yet made into deliveries; 0: there is none',
    );
    this.pending = gauge(
      'tidemark_deliveries_pending',
      'Deliveries not yet delivered or dead; at most 10000',
    );
    this.open = gauge(
      'tidemark_delivery_breakers_open',
      'Endpoints left alone, but for a probe now and then, after failures in a row',
    );
    this.inFlight = gauge('tidemark_deliveries_in_flight', 'Lanes whose deliveries this instance is sending');
  }
}
