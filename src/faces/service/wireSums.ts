import { connect, connectRefresher } from '../../ground/db/connections.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { PriceBooks } from '../../sums/costs/reading/priceBooks.ts';
import { BatchSums } from '../../sums/live/batchSums.ts';
import { createLiveCounters } from '../../sums/live/createLiveCounters.ts';
import type { LiveCounters } from '../../sums/live/liveCounters.ts';
import { MeteredLiveCounters } from '../../sums/live/meteredLiveCounters.ts';
import { MeterUpkeep } from '../../sums/meters/keeping/meterUpkeep.ts';
import { MeterUpkeepMetrics } from '../../sums/meters/keeping/meterUpkeepMetrics.ts';
import { reconcileRetention } from '../../sums/retention/reconcileRetention.ts';
import { RetentionLoop } from '../../sums/retention/retentionLoop.ts';
import { RetentionMetrics } from '../../sums/retention/retentionMetrics.ts';
import { ClosedFrontier } from '../../sums/windows/closedFrontier.ts';
import { Closer } from '../../sums/windows/closer.ts';
import { Refresher } from '../../sums/windows/refresher.ts';
import { WindowMetrics } from '../../sums/windows/windowMetrics.ts';
import type { Ground } from './wireGround.ts';

/** Windows, rollups and meters, live counters, and how long what is kept. */
export interface Sums {
  /** How far windows are closed, as this instance knows. */
  frontier: ClosedFrontier;
  live: LiveCounters;
  priceBooks: PriceBooks;
  /** Adds new rows to the live counters, after their commit. Waits for nothing and never throws. */
  onStored(rows: UsageEvent[]): void;
  start(): void;
  /** Stops what may rest while events are still taken: refresher, keeping of meters, retention. */
  stopUpkeep(): Promise<void>;
  /** Stops the rest. */
  stop(): Promise<void>;
}

/**
 * @param ownLive in place of the live counters that the configuration asks for.
 * @throws {StartupError} when retention cannot be as it is configured.
 */
export async function wireSums(ground: Ground, ownLive: LiveCounters | undefined): Promise<Sums> {
  const { config, log, registry, engine, settings, admin } = ground;
  await reconcileRetention(admin, engine, config.retention, log);
  const live = new MeteredLiveCounters(ownLive ?? (await liveCounters(ground)), registry);
  const frontier = new ClosedFrontier();
  const metrics = new WindowMetrics(registry, frontier, config.windows.graceMs);
  const closer = new Closer({
    config: config.windows,
    connect: () => connect(settings('closer'), log),
    frontier,
    metrics,
    log,
  });
  const upkeep = [
    new Refresher({
      config: config.windows,
      engine,
      connect: () => connectRefresher(settings('refresher'), log),
      metrics,
      log,
    }),
    new MeterUpkeep({
      engine,
      connect: () => connect(settings('meters'), log),
      intervalMs: config.windows.intervalMs,
      retryMs: config.windows.retryMs,
      metrics: new MeterUpkeepMetrics(registry),
      log,
    }),
    new RetentionLoop({
      config: config.retention,
      engine,
      connect: () => connect(settings('retention'), log),
      watch: admin,
      metrics: new RetentionMetrics(registry),
      log,
    }),
  ];
  return {
    frontier,
    live,
    priceBooks: new PriceBooks(),
    onStored(rows) {
      if (live.store === 'none') return;
      const sums = new BatchSums(Date.now());
      for (const row of rows) sums.add(row);
      void live.add(sums.increments());
    },
    start() {
      for (const loop of [closer, ...upkeep]) loop.start();
    },
    async stopUpkeep() {
      await Promise.all(upkeep.map((loop) => loop.stop()));
    },
    stop: () => closer.stop(),
  };
}

async function liveCounters({ config, log, admin }: Ground): Promise<LiveCounters> {
  return createLiveCounters(config.live, {
    latestEventMs: await latestEvent(admin),
    onHealth: (healthy, cause) =>
      healthy ? log.info('live counters are back') : log.warn({ err: cause }, 'live counters are away'),
  });
}

/** Time (ms) of the latest event, which may lie ahead of the clock. */
async function latestEvent(db: Queryable): Promise<number | undefined> {
  const { rows } = await db.query<{ ms: string | null }>(
    `select extract(epoch from max(ts)) * 1000 as ms from event where ts > now()`,
  );
  return rows[0]?.ms == null ? undefined : Number(rows[0].ms);
}
