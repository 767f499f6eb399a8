import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of removing and packing what is old. Counts are of this instance. */
export class RetentionMetrics {
  readonly rows: Counter<'relation'>;
  readonly chunks: Counter<'relation'>;
  readonly compressed: Counter;
  readonly gaveWay: Counter;
  readonly pending: Gauge;
  readonly lastRun: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.rows = new Counter({
      name: 'tidemark_retention_rows_removed_total',
      help: 'Rows removed because they were older than they are kept',
      labelNames: ['relation'],
      registers,
    });
    this.chunks = new Counter({
      name: 'tidemark_retention_chunks_dropped_total',
      help: 'Chunks dropped because they were older than they are kept',
      labelNames: ['relation'],
      registers,
    });
    this.compressed = new Counter({
      name: 'tidemark_columnstore_chunks_total',
      help: 'Chunks brought into the columnstore, or brought up to date there',
      registers,
    });
    this.gaveWay = new Counter({
      name: 'tidemark_columnstore_gave_way_total',
      help: 'Times that a chunk was left for later because somebody waited to write to it',
      registers,
    });
    this.pending = new Gauge({
      name: 'tidemark_columnstore_chunks_pending',
      help: 'Chunks that are due for the columnstore, as of the last round',
      registers,
    });
    this.lastRun = new Gauge({
      name: 'tidemark_retention_last_run_timestamp_seconds',
      help: 'When this instance last went through everything that is kept for a time',
      registers,
    });
  }
}
