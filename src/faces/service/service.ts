import { setTimeout as sleep } from 'node:timers/promises';
import { createRateLimiter } from '../../access/limits/createRateLimiter.ts';
import { Authenticator } from '../../access/tenancy/authenticator.ts';
import { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import { WrongKeys } from '../../access/tenancy/wrongKeys.ts';
import type { Config } from '../../ground/config/loadConfig.ts';
import { CircuitBreaker } from '../../ground/db/circuitBreaker.ts';
import {
  connect,
  connectionSettings,
  connectRefresher,
  createPool,
  createTenantReads,
} from '../../ground/db/connections.ts';
import { DatabaseMetrics } from '../../ground/db/databaseMetrics.ts';
import { DatabaseProbe } from '../../ground/db/databaseProbe.ts';
import { readEngine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { retryingLost } from '../../ground/db/retryLost.ts';
import { blockList } from '../../ground/networks.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { createRegistry, registerBuildInfo, registerTracing } from '../../ground/telemetry/metrics.ts';
import { NO_TRACING, type Tracing } from '../../ground/telemetry/tracing.ts';
import { adviceFor, describeRules } from '../../ground/zones/zoneRules.ts';
import { Zones } from '../../ground/zones/zones.ts';
import { Ingest } from '../../intake/ingest/ingest.ts';
import { RejectedEvents } from '../../intake/ingest/rejectedEvents.ts';
import { createSources } from '../../intake/sources/createSources.ts';
import type { ErrorCode } from '../../model/errors.ts';
import { Delivery } from '../../outbound/delivery/delivery.ts';
import type { EndpointCheck } from '../../outbound/delivery/endpointCheck.ts';
import type { Resolve } from '../../outbound/delivery/webhook/guardedLookup.ts';
import { BatchSums } from '../../sums/live/batchSums.ts';
import { createLiveCounters } from '../../sums/live/createLiveCounters.ts';
import type { LiveCounters } from '../../sums/live/liveCounters.ts';
import { MeteredLiveCounters } from '../../sums/live/meteredLiveCounters.ts';
import { reconcileRetention } from '../../sums/retention/reconcileRetention.ts';
import { RetentionLoop } from '../../sums/retention/retentionLoop.ts';
import { RetentionMetrics } from '../../sums/retention/retentionMetrics.ts';
import { ClosedFrontier } from '../../sums/windows/closedFrontier.ts';
import { Closer } from '../../sums/windows/closer.ts';
import { Refresher } from '../../sums/windows/refresher.ts';
import { WindowMetrics } from '../../sums/windows/windowMetrics.ts';
import { createApp } from '../http/app.ts';
import type { App } from '../http/appEnv.ts';
import { HttpMetrics } from '../http/httpMetrics.ts';

/** Connections for administration, and for the look-ups of keys and tenants, which are rare. */
const ADMIN_POOL_SIZE = 2;
/** How long the writers are there for what has been read of queues, in ms: a read, and a batch. */
const SOURCES_STOP_MS = 2_000;
/** Connections for the results of deliveries. */
const DELIVERY_POOL_SIZE = 2;

export interface Service {
  app: App;
  /** To be told of requests that were refused before they reached the app. */
  onRefused(code: ErrorCode): void;
  /** To be called once it can be reached: logs what the operator should know of the database. */
  onListening(): void;
  /**
   * Makes readiness answer 503, so that a load balancer sends no more, and leaves queues and all that others can do as
   * well, or later, to other instances.
   */
  beginDrain(): void;
  /**
   * Writes what is queued, then closes everything, database last.
   *
   * @returns how many events that had been answered with 202 could not be stored.
   */
  close(): Promise<number>;
  /** Events that have been answered with 202 and are not stored: given up, or still on their way. */
  owedEvents(): number;
}

/**
 * Wires the parts together on a migrated database.
 *
 * @param url the database; `config.database.url` or the local one.
 * @param parts what is the caller's own, in place of what the configuration asks for.
 * @throws {StartupError} when the database does not fit.
 */
export async function createService(
  config: Config,
  url: string,
  log: Logger,
  parts: {
    live?: LiveCounters;
    endpointCheck?: EndpointCheck | undefined;
    resolve?: Resolve;
    tracing?: Tracing;
  } = {},
): Promise<Service> {
  const registry = createRegistry();
  const probe = new DatabaseProbe({
    connect: () => connect(connectionSettings(url, config.database, 'probe'), log),
    timeoutMs: config.database.probeTimeoutMs,
  });
  const breaker = new CircuitBreaker({
    probe: () => probe.ask(),
    intervalMs: config.database.probeIntervalMs,
    log,
  });
  registerTracing(registry, parts.tracing ?? NO_TRACING);
  const databaseMetrics = new DatabaseMetrics(registry, breaker);
  const settings = (use: 'ingest' | 'read' | 'admin' | 'closer' | 'refresher' | 'relay' | 'retention') =>
    connectionSettings(url, config.database, use, { breaker, metrics: databaseMetrics });
  const admin = createPool(settings('admin'), ADMIN_POOL_SIZE, log);
  const engine = await readEngine(admin);
  const reads = createTenantReads(settings('read'), engine, config.database.readPoolSize, log);
  registerBuildInfo(registry, engine);
  await reconcileRetention(admin, engine, config.retention, log);
  const lookups = retryingLost(admin);
  const zones = new Zones(lookups);
  const frontier = new ClosedFrontier();
  const counters =
    parts.live ??
    createLiveCounters(config.live, {
      latestEventMs: await latestEvent(admin),
      onHealth: (healthy, cause) =>
        healthy ? log.info('live counters are back') : log.warn({ err: cause }, 'live counters are away'),
    });
  const live = new MeteredLiveCounters(counters, registry);
  const ingest = new Ingest({
    config: config.ingest,
    connect: () => connect(settings('ingest'), log),
    assertAvailable: () => breaker.assertClosed(),
    pooled: config.database.pooler === 'transaction',
    frontier,
    registry,
    log,
    onStored(rows) {
      if (live.store === 'none') return;
      const sums = new BatchSums(Date.now());
      for (const row of rows) sums.add(row);
      void live.add(sums.increments());
    },
    onMessages: () => delivery.wake(),
  });
  const limiter = createRateLimiter(config.limits, registry, (healthy, cause) =>
    healthy
      ? log.info('rate limits are shared')
      : log.warn({ err: cause }, 'rate limits are of this instance alone: Redis is away'),
  );
  const metrics = new WindowMetrics(registry, frontier, config.windows.graceMs);
  const closer = new Closer({
    config: config.windows,
    connect: () => connect(settings('closer'), log),
    frontier,
    metrics,
    log,
  });
  /** What may rest while events are still taken. */
  const upkeep = [
    new Refresher({
      config: config.windows,
      engine,
      connect: () => connectRefresher(settings('refresher'), log),
      metrics,
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
  const results = createPool(settings('relay'), DELIVERY_POOL_SIZE, log);
  const delivery = new Delivery({
    config: config.delivery,
    acceptBehindMs: config.ingest.acceptBehindMs,
    connect: () => connect(settings('relay'), log),
    sessions: config.database.pooler === 'none',
    db: results,
    registry,
    log,
    resolve: parts.resolve,
  });

  let accepting = true;
  const httpMetrics = new HttpMetrics(registry, () => accepting && !breaker.open);
  const tenants = new TenantDirectory(lookups, config.limits);
  const rejectedEvents = new RejectedEvents(registry, log);
  const sources = createSources({ config, ingest, tenants, reads, registry, rejectedEvents, log });
  const app = createApp({
    config,
    breaker,
    reads,
    admin,
    ingest,
    endpointCheck: parts.endpointCheck ?? ((endpoint) => delivery.checkEndpoint(endpoint)),
    live,
    limiter,
    delivery,
    registry,
    httpMetrics,
    rejectedEvents,
    log,
    tenants,
    zones,
    authenticator: new Authenticator({
      db: lookups,
      adminKeys: [config.adminKey, config.previousAdminKey].filter((key) => key !== undefined),
      wrongKeys: new WrongKeys(config.http.authFailuresPerMinute, registry),
      limits: config.limits,
      waitMs: config.database.connectTimeoutMs,
    }),
    trustedProxies: blockList(config.http.trustedProxies),
    accepting: () => accepting,
  });
  breaker.start();
  for (const loop of [closer, ...upkeep]) loop.start();
  for (const source of sources) source.start();
  delivery.start();

  return {
    app,
    onRefused: (code) => httpMetrics.refused(code),
    onListening() {
      tellZoneRules(zones, log).catch((error) => log.warn({ err: error }, 'time zone rules are not known'));
    },
    beginDrain() {
      accepting = false;
      for (const source of sources) void source.stop();
      for (const loop of upkeep) void loop.stop();
    },
    owedEvents: () => ingest.lostEvents + ingest.promisedEvents,
    async close() {
      accepting = false;
      const upkeepStopped = Promise.all(upkeep.map((loop) => loop.stop()));
      const sourcesStopped = Promise.all(sources.map((source) => source.stop()));
      // Not for longer: a queue may be silent, and what was answered with 202 is in memory only.
      await Promise.race([sourcesStopped, sleep(SOURCES_STOP_MS, null, { ref: false })]);
      await ingest.close();
      await sourcesStopped;
      breaker.stop();
      probe.end();
      await Promise.all([closer.stop(), upkeepStopped, delivery.stop()]);
      await Promise.all([live.close(), limiter.close()]);
      await Promise.all([reads.end(), admin.end(), results.end()]);
      return ingest.lostEvents;
    },
  };
}

async function tellZoneRules(zones: Zones, log: Logger): Promise<void> {
  const rules = await zones.rules();
  const { release, missing } = rules;
  const facts = { release, lacking: missing.map(({ what }) => what) };
  if (missing.length === 0) log.info(facts, describeRules(rules));
  else log.warn(facts, `${describeRules(rules)}: ${adviceFor()}`);
}

/** Time (ms) of the latest event, which may lie ahead of the clock. */
async function latestEvent(db: Queryable): Promise<number | undefined> {
  const { rows } = await db.query<{ ms: string | null }>(
    `select extract(epoch from max(ts)) * 1000 as ms from event where ts > now()`,
  );
  return rows[0]?.ms == null ? undefined : Number(rows[0].ms);
}
