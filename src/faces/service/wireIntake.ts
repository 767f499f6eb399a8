import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../ground/db/connections.ts';
import { Backfills } from '../../intake/backfills/backfills.ts';
import { Corrections } from '../../intake/corrections/corrections.ts';
import { Ingest } from '../../intake/ingest/ingest.ts';
import { RejectedEvents } from '../../intake/ingest/rejectedEvents.ts';
import { Tallies } from '../../intake/ingest/tallies.ts';
import { createSources } from '../../intake/sources/createSources.ts';
import type { Access } from './wireAccess.ts';
import type { Ground } from './wireGround.ts';
import type { Outbound } from './wireOutbound.ts';
import type { Sums } from './wireSums.ts';

/** How long the writers are there for what has been read of queues, in ms: a read, and a batch. */
const SOURCES_STOP_MS = 2_000;

/** The way of events to the database, from requests and from queues. */
export interface Intake {
  ingest: Ingest;
  corrections: Corrections;
  backfills: Backfills;
  rejectedEvents: RejectedEvents;
  /** What has become of events in this instance. */
  tallies: Tallies;
  /** Begins to read queues. */
  start(): void;
  /** Reads no more of them. */
  stopReading(): Promise<void>;
  /** Settles what was read of queues, and writes what waits. */
  close(): Promise<void>;
}

export function wireIntake(ground: Ground, access: Access, sums: Sums, outbound: Outbound): Intake {
  const { config, log, registry, breaker, reads, settings, engine, admin } = ground;
  const tallies = new Tallies();
  const ingest = new Ingest({
    tallies,
    config: config.ingest,
    connect: () => connect(settings('ingest'), log),
    assertAvailable: () => breaker.assertClosed(),
    pooled: config.database.pooler === 'transaction',
    frontier: sums.frontier,
    registry,
    log,
    onStored: (rows) => sums.onStored(rows),
    onMessages: () => outbound.delivery.wake(),
  });
  const rejectedEvents = new RejectedEvents(registry, log, tallies);
  const corrections = new Corrections({
    engine,
    connect: () => connect(settings('corrections'), log),
    admin,
    reads,
    live: sums.live,
    registry,
    log,
    onMessages: () => outbound.delivery.wake(),
  });
  const { tenants } = access;
  const sources = createSources({ config, ingest, tenants, reads, registry, rejectedEvents, log });
  const stopReading = async () => {
    await Promise.all(sources.map((source) => source.stop()));
  };
  return {
    ingest,
    corrections,
    backfills: new Backfills({ admin, reads, corrections }),
    rejectedEvents,
    tallies,
    start() {
      for (const source of sources) source.start();
    },
    stopReading,
    async close() {
      const stopped = stopReading();
      // Not for longer: a queue may be silent, and what was answered with 202 is in memory only.
      await Promise.race([stopped, sleep(SOURCES_STOP_MS, null, { ref: false })]);
      await ingest.close();
      await stopped;
    },
  };
}
