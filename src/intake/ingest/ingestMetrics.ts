import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { UsageMetrics } from './usageMetrics.ts';

/** What waits and what runs. */
interface QueueState {
  depth: { rows: number; bytes: number; running: number };
  /** How long what waits longest has waited, in ms; 0: nothing waits. */
  ageMs: number;
}

/** Metrics of the ingest path. Counts are of this instance; `rows` are events. */
export class IngestMetrics {
  readonly stored: Counter;
  readonly duplicates: Counter;
  readonly lateEvents: Counter;
  readonly batchRows: Histogram;
  readonly batchBytes: Histogram;
  readonly batchWait: Histogram;
  readonly batchSeconds: Histogram;
  readonly transactionSeconds: Histogram<'path'>;
  readonly slowPaths: Counter;
  readonly eventRows: Counter<'path'>;
  readonly meterParts: Counter;
  readonly retries: Counter<'sqlstate'>;
  readonly rejectedRequests: Counter;
  readonly lost: Counter;
  readonly usage: UsageMetrics;

  /** @param columns whether events can be written as columns, as far as is known. */
  constructor(registry: Registry, queue: () => QueueState, columns: () => boolean) {
    const registers = [registry];
    const counter = (name: string, help: string) => new Counter({ name, help, registers });
    this.stored = counter('tidemark_events_stored_total', 'Events stored for the first time');
    this.duplicates = counter('tidemark_events_duplicate_total', 'Events that had been stored before');
    this.lateEvents = counter('tidemark_events_late_total', 'Events stored into a window that was closed');
    this.slowPaths = counter('tidemark_ingest_slow_paths_total', 'Batches repeated because an id was known');
    this.rejectedRequests = counter(
      'tidemark_ingest_rejected_requests_total',
      'Requests refused because the database refused one of their rows',
    );
    this.lost = counter('tidemark_events_lost_total', 'Events answered with 202 that could not be stored');
    this.meterParts = counter(
      'tidemark_ingest_meter_parts_total',
      'Rows written for meters: what a batch adds to a series in a window, for a customer and dimension values',
    );
    this.usage = new UsageMetrics(registry);
    this.retries = new Counter({
      name: 'tidemark_ingest_retries_total',
      help: 'Batches repeated after an error, by SQLSTATE or "connection"',
      labelNames: ['sqlstate'],
      registers,
    });
    this.eventRows = new Counter({
      name: 'tidemark_ingest_event_rows_total',
      help: 'Events written, by the way they went: columns (straight into the columnstore), or rows',
      labelNames: ['path'],
      registers,
    });
    new Gauge({
      name: 'tidemark_ingest_columns_able',
      help: '1 while events can be written as columns, 0 while all are written as rows',
      registers,
      collect() {
        this.set(columns() ? 1 : 0);
      },
    });
    this.batchRows = new Histogram({
      name: 'tidemark_ingest_batch_rows',
      help: 'Events per batch',
      buckets: [1, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000],
      registers,
    });
    this.batchBytes = new Histogram({
      name: 'tidemark_ingest_batch_bytes',
      help: 'Bytes of request bodies per batch',
      buckets: [1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 8_388_608],
      registers,
    });
    this.batchWait = new Histogram({
      name: 'tidemark_ingest_batch_wait_seconds',
      help: 'Age of a batch: how long its oldest request had waited when it was begun',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.transactionSeconds = new Histogram({
      name: 'tidemark_ingest_commit_seconds',
      help: 'Duration of one transaction that committed, by the path it took: direct, or claiming (the slow one)',
      labelNames: ['path'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.batchSeconds = new Histogram({
      name: 'tidemark_ingest_batch_seconds',
      help: 'Time from the start of a batch to its commit, repetitions included',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    const gauge = (name: string, help: string, value: (state: QueueState) => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value(queue()));
        },
      });
    gauge('tidemark_ingest_queue_rows', 'Events waiting to be written', ({ depth }) => depth.rows);
    gauge(
      'tidemark_ingest_queue_bytes',
      'Bytes of request bodies waiting to be written',
      ({ depth }) => depth.bytes,
    );
    gauge(
      'tidemark_ingest_queue_age_seconds',
      'How long the request has waited that waits longest; 0: none waits',
      ({ ageMs }) => ageMs / 1_000,
    );
    gauge('tidemark_ingest_batches_running', 'Batches being written', ({ depth }) => depth.running);
  }
}
