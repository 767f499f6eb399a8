import type { Config } from '../../ground/config/loadConfig.ts';
import { createPool } from '../../ground/db/connections.ts';
import { blockList } from '../../ground/networks.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { NO_TRACING, type Tracing } from '../../ground/telemetry/tracing.ts';
import { adviceFor, describeRules } from '../../ground/zones/zoneRules.ts';
import type { Zones } from '../../ground/zones/zones.ts';
import type { ErrorCode } from '../../model/errors.ts';
import type { EndpointCheck } from '../../outbound/delivery/endpointCheck.ts';
import type { Resolve } from '../../outbound/delivery/webhook/guardedLookup.ts';
import type { LiveCounters } from '../../sums/live/liveCounters.ts';
import type { DemoCode } from '../console/demoCode.ts';
import { createApp } from '../http/app.ts';
import type { App } from '../http/appEnv.ts';
import { HttpMetrics } from '../http/httpMetrics.ts';
import { OtlpMetrics } from '../http/otlpMetrics.ts';
import { LiveView } from '../live/liveView.ts';
import { wireAccess } from './wireAccess.ts';
import { wireGround } from './wireGround.ts';
import { wireIntake } from './wireIntake.ts';
import { wireOutbound } from './wireOutbound.ts';
import { wireSums } from './wireSums.ts';

/** One: its statements come one after the other. */
const LIVE_POOL_SIZE = 1;

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

/** What is the caller's own, in place of what the configuration asks for. */
export interface OwnParts {
  live?: LiveCounters;
  endpointCheck?: EndpointCheck | undefined;
  resolve?: Resolve;
  tracing?: Tracing;
  demoCode?: DemoCode | undefined;
}

/**
 * Wires the wings together on a migrated database, from the ground up.
 *
 * @param url the database; `config.database.url` or the local one.
 * @throws {StartupError} when the database does not fit.
 */
export async function createService(
  config: Config,
  url: string,
  log: Logger,
  own: OwnParts = {},
): Promise<Service> {
  const ground = await wireGround(config, url, log, own.tracing ?? NO_TRACING);
  const access = wireAccess(ground);
  const sums = await wireSums(ground, own.live);
  const outbound = wireOutbound(ground, own.resolve);
  const intake = wireIntake(ground, access, sums, outbound);
  const { breaker, registry, zones } = ground;
  const { delivery } = outbound;
  const { ingest } = intake;

  let accepting = true;
  const httpMetrics = new HttpMetrics(registry, () => accepting && !breaker.open);
  const liveReads = createPool(ground.settings('live'), LIVE_POOL_SIZE, log);
  const liveView = new LiveView({
    config: config.liveView,
    tallies: intake.tallies,
    waitingRows: (scope) => ingest.waitingRows(scope),
    db: liveReads,
    isAway: () => breaker.open,
    registry,
    log,
  });
  const app = createApp({
    ...ground,
    ...access,
    ...{ live: sums.live, delivery, ingest, rejectedEvents: intake.rejectedEvents, httpMetrics },
    corrections: intake.corrections,
    liveView,
    backfills: intake.backfills,
    priceBooks: sums.priceBooks,
    otlpMetrics: new OtlpMetrics(registry),
    demoCode: own.demoCode ?? null,
    endpointCheck: own.endpointCheck ?? ((endpoint) => delivery.checkEndpoint(endpoint)),
    trustedProxies: blockList(config.http.trustedProxies),
    accepting: () => accepting,
  });
  breaker.start();
  sums.start();
  intake.start();
  delivery.start();

  return {
    app,
    onRefused: (code) => httpMetrics.refused(code),
    onListening() {
      tellZoneRules(zones, log).catch((error) => log.warn({ err: error }, 'time zone rules are not known'));
    },
    beginDrain() {
      accepting = false;
      liveView.close();
      void intake.stopReading();
      void sums.stopUpkeep();
    },
    owedEvents: () => ingest.lostEvents + ingest.promisedEvents,
    /*
     * 1. Nothing new is read, and what others can do as well is left to them.
     * 2. What was taken is written: an event that was answered with 202 is in memory only.
     * 3. The database is watched no more; closing and sending stop, which needed it.
     * 4. Redis is let go, then the database.
     */
    async close() {
      accepting = false;
      liveView.close();
      const upkeepStopped = sums.stopUpkeep();
      await intake.close();
      ground.stopWatching();
      await Promise.all([sums.stop(), upkeepStopped, delivery.stop()]);
      await Promise.all([sums.live.close(), access.limiter.close()]);
      await Promise.all([ground.end(), outbound.end(), liveReads.end()]);
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
