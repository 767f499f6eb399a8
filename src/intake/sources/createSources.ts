import type { Registry } from 'prom-client';
import type { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import type { Config } from '../../ground/config/loadConfig.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { requireSameIncrement } from '../../sums/counters/requireSameIncrement.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { RejectedEvents } from '../ingest/rejectedEvents.ts';
import { Consumer } from './consumer.ts';
import { RedisStreamSource } from './redisStream.ts';
import type { Source } from './source.ts';
import { SourceMetrics } from './sourceMetrics.ts';

export interface SourceParts {
  config: Config;
  ingest: Ingest;
  tenants: TenantDirectory;
  reads: TenantReads;
  registry: Registry;
  rejectedEvents: RejectedEvents;
  log: Logger;
}

export interface RunningSource {
  start(): void;
  /** Ends when what has been read is settled, or, where that would have to wait for something, left to others. */
  stop(): Promise<void>;
}

/** All queues together may have this part of what waits for the writers: the rest is for requests. */
const SHARE_OF_QUEUE = 1 / 3;

/** The queues the configuration names: none, unless it does. Does not wait for them to be there. */
export function createSources({
  config,
  ingest,
  tenants,
  reads,
  registry,
  rejectedEvents,
  log,
}: SourceParts): RunningSource[] {
  const { redisStreams, tenantId } = config.sources;
  const { batchRows, batchBytes, queueRows, queueBytes } = config.ingest;
  const sources: Source[] = redisStreams.map((stream) => new RedisStreamSource({ ...stream, batchBytes }));
  if (sources.length === 0) return [];
  const metrics = new SourceMetrics(registry);
  const share = SHARE_OF_QUEUE / sources.length;
  return sources.map(
    (source) =>
      new Consumer({
        source,
        ingest,
        tenants,
        rules: {
          tenantId,
          acceptAheadMs: config.ingest.acceptAheadMs,
          acceptBehindMs: config.ingest.acceptBehindMs,
          maxEvents: config.ingest.maxEventsPerRequest,
          maxBytes: config.http.maxBodyBytes,
        },
        // Two batches: one that is written, and one that fills meanwhile.
        room: {
          rows: Math.min(2 * batchRows, Math.ceil(queueRows * share)),
          bytes: Math.min(2 * batchBytes, Math.ceil(queueBytes * share)),
        },
        requireSame: (increment) => requireSameIncrement(reads.as(increment), increment),
        metrics,
        onFaults(faults, { id: entry, tenantId: named }) {
          // A tenant that there is not is nobody to count for.
          const unknown = faults.some(({ code }) => code === 'tenant_unknown');
          const owner = unknown ? null : (named ?? tenantId);
          const facts = { source: source.name, entry, ...(owner !== null && { tenantId: owner }) };
          rejectedEvents.count('queue', faults, facts);
        },
        log,
      }),
  );
}
