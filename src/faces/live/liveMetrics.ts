import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of the streams that this instance feeds. */
export class LiveMetrics {
  readonly refused: Counter<'limit'>;
  readonly dropped: Counter;

  /** @param open how many are open. */
  constructor(registry: Registry, open: () => number) {
    const registers = [registry];
    new Gauge({
      name: 'tidemark_live_streams',
      help: 'Streams of GET /v1/live/stream that are open',
      registers,
      collect() {
        this.set(open());
      },
    });
    this.refused = new Counter({
      name: 'tidemark_live_streams_refused_total',
      help: 'Streams refused because too many were open, by the limit they met: of the instance, or of a tenant',
      labelNames: ['limit'],
      registers,
    });
    for (const limit of ['instance', 'tenant']) this.refused.inc({ limit }, 0);
    this.dropped = new Counter({
      name: 'tidemark_live_samples_dropped_total',
      help: 'Samples that a reader missed because it was slower than they came',
      registers,
    });
  }
}
