import type { Span } from '@opentelemetry/api';
import type pg from 'pg';
import type { Registry } from 'prom-client';
import type { IngestConfig } from '../../ground/config/ingest.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { callingSpan, inSharedSpan } from '../../ground/telemetry/spans.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { Interest } from '../../outbound/delivery/interest.ts';
import type { ClosedFrontier } from '../../sums/windows/closedFrontier.ts';
import type { OnRefused, WriteRequest, WriteResult } from './batch.ts';
import { Batcher } from './batcher.ts';
import { ColumnsPath } from './columnsPath.ts';
import { CustomerRegistry } from './customerRegistry.ts';
import { Identities } from './identities.ts';
import { IngestMetrics } from './ingestMetrics.ts';
import type { Tallies } from './tallies.ts';
import { Writer } from './writer.ts';

export type { WriteResult } from './batch.ts';

/** A batch of fewer rows costs more as a transaction of its own than it gains: docs/adr/0004. */
const LANE_ROWS = 200;
/** While tenants compete, a batch is to take a few ms: docs/adr/0015. */
const SHARED_BATCH_ROWS = 500;

export interface IngestOptions {
  config: IngestConfig;
  connect(): Promise<pg.Client>;
  /** Throws what a request is to be refused with, at once, while the database is known to be away. */
  assertAvailable?(): void;
  /** Whether that leads through a pooler. */
  pooled: boolean;
  frontier: ClosedFrontier;
  registry: Registry;
  log: Logger;
  /** Counts what becomes of events. Left out: nobody asks. */
  tallies?: Tallies;
  /** Told of new rows after their commit and before their requests are answered. Must not throw. */
  onStored(rows: UsageEvent[]): void;
  /** Told after a commit that may have left messages in the outbox. Must not throw. */
  onMessages?(): void;
  /** Keep what messages are made of up to date, and write none: for import. */
  quiet?: boolean;
}

/** The ingest path behind its dialects: joins requests into batches and writes each batch in one transaction. */
export class Ingest {
  private readonly batcher: Batcher<WriteRequest, WriteResult>;
  private readonly writers: Writer[];
  private readonly metrics: IngestMetrics;
  private readonly log: Logger;
  private readonly tallies: Tallies | undefined;
  private readonly assertAvailable: (() => void) | undefined;
  /** Events queued by `storeLater` that could not be stored. */
  lostEvents = 0;
  /** Events queued by `storeLater` of which nobody knows yet. */
  promisedEvents = 0;

  constructor({
    config,
    connect,
    assertAvailable,
    pooled,
    frontier,
    registry,
    log,
    tallies,
    onStored,
    onMessages,
    quiet = false,
  }: IngestOptions) {
    this.log = log;
    this.tallies = tallies;
    this.assertAvailable = assertAvailable;
    const columns = new ColumnsPath({
      fromRows: config.columnsFromRows,
      days: config.columnsDays,
      spanMs: config.columnsSpanMs,
      log,
    });
    this.metrics = new IngestMetrics(
      registry,
      () => this.batcher,
      () => columns.able,
    );
    const customers = new CustomerRegistry();
    const interest = new Interest();
    const identities = new Identities();
    this.writers = Array.from(
      { length: config.writers },
      () =>
        new Writer({
          connect,
          pooled,
          registry: customers,
          frontier,
          interest,
          identities,
          columns,
          quiet,
          metrics: this.metrics,
          log,
          deadlineMs: config.deadlineMs,
          onStored,
          ...(onMessages && { onMessages }),
        }),
    );
    this.batcher = new Batcher({
      lanes: config.writers,
      batchRows: config.batchRows,
      batchBytes: config.batchBytes,
      sharedBatchRows: SHARED_BATCH_ROWS,
      laneRows: LANE_ROWS,
      queueRows: config.queueRows,
      queueBytes: config.queueBytes,
      deadlineMs: config.deadlineMs,
      write: (requests, lane, waitedMs) =>
        inSharedSpan(
          'write batch',
          requests.map(({ caller }) => caller),
          (span) => this.write(requests, lane, waitedMs, span),
        ),
    });
  }

  /**
   * Stores the events of one request, all or none; resolves once their transaction has committed.
   *
   * @param bytes size of the request's body, for the bounds of the queue.
   * @param flow whose request it is: the tenant. Flows share the writers and the queue evenly.
   * @param since when its time began, in ms since the epoch, where that was not now.
   * @param onRefused what to do about an event that only the database refuses: `tell` its index in the error, or `skip`
   * it, told in the result, and store the others.
   * @throws {TidemarkError} at once, with nothing queued: `overloaded`, `shutting_down`, `database_unavailable`; as a
   * rejection: `deadline_exceeded`, `database_unavailable`, `event_rejected_by_database`, `transaction_too_large`.
   */
  store(
    events: UsageEvent[],
    bytes: number,
    flow: string,
    since?: number,
    onRefused?: OnRefused,
  ): Promise<WriteResult> {
    this.assertAvailable?.();
    const caller = callingSpan();
    for (const { aiUsage } of events) if (aiUsage !== undefined) this.metrics.usage.count(aiUsage);
    const rows = events.length;
    const queuedAt = performance.now();
    return this.batcher.add({ events, rows, bytes, flow, queuedAt, caller, onRefused }, since);
  }

  /**
   * Queues events that are answered before they are stored. What cannot be stored after all is logged and counted.
   *
   * @throws {TidemarkError} at once: `overloaded`, `shutting_down`, `database_unavailable`.
   */
  storeLater(events: UsageEvent[], bytes: number, flow: string, onRefused?: OnRefused): void {
    const lost = (count: number, error: unknown) => {
      this.lostEvents += count;
      this.metrics.lost.inc(count);
      this.log.error({ err: error, events: count }, 'events answered with 202 were not stored');
    };
    const stored = this.store(events, bytes, flow, undefined, onRefused);
    this.promisedEvents += events.length;
    stored
      .then(
        ({ refused }) => {
          if (refused?.length) lost(refused.length, refused[0]!.cause);
        },
        (error) => lost(events.length, error),
      )
      .finally(() => {
        this.promisedEvents -= events.length;
      });
  }

  /**
   * Refuses a request that `store` would refuse. Before its body is parsed, its rows are at least one.
   *
   * @throws {TidemarkError} `overloaded`, `shutting_down`, `database_unavailable`.
   */
  requireRoom(rows: number, bytes: number, flow: string): void {
    this.assertAvailable?.();
    this.batcher.check(flow, rows, bytes);
  }

  /** Events that wait to be written: of a tenant, or of all (null). */
  waitingRows(tenantId: string | null): number {
    return tenantId === null ? this.batcher.depth.rows : this.batcher.rowsOf(tenantId);
  }

  /** Writes what is queued, then closes the connections. */
  async close(): Promise<void> {
    await this.batcher.close();
    await Promise.all(this.writers.map((writer) => writer.close()));
  }

  private async write(
    requests: WriteRequest[],
    lane: number,
    waitedMs: number,
    span: Span | undefined,
  ): Promise<(WriteResult | Error)[]> {
    const started = performance.now();
    const results = await this.writers[lane]!.write(requests);
    const ended = performance.now();
    this.metrics.batchSeconds.observe((ended - started) / 1_000);
    let rows = 0;
    let bytes = 0;
    let failed = 0;
    let stored = 0;
    let duplicates = 0;
    for (const [i, result] of results.entries()) {
      const request = requests[i]!;
      rows += request.rows;
      bytes += request.bytes;
      if (result instanceof Error) {
        failed++;
        continue;
      }
      stored += result.accepted;
      duplicates += result.duplicates;
      this.tallies?.stored(request.flow, request.events, result, ended - request.queuedAt);
    }
    this.metrics.batchRows.observe(rows);
    this.metrics.batchBytes.observe(bytes);
    this.metrics.batchWait.observe(waitedMs / 1_000);
    this.metrics.stored.inc(stored);
    this.metrics.duplicates.inc(duplicates);
    span?.setAttributes({
      'tidemark.batch.requests': requests.length,
      'tidemark.batch.failed_requests': failed,
      'tidemark.batch.rows': rows,
      'tidemark.batch.stored': stored,
      'tidemark.batch.duplicates': duplicates,
      'tidemark.batch.wait_ms': waitedMs,
    });
    return results;
  }
}
