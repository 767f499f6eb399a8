import type { Registry } from 'prom-client';
import type { Config } from '../../ground/config/loadConfig.ts';
import { CircuitBreaker } from '../../ground/db/circuitBreaker.ts';
import {
  type ConnectionSettings,
  connect,
  connectionSettings,
  createPool,
  createTenantReads,
  type DatabaseUse,
} from '../../ground/db/connections.ts';
import { DatabaseMetrics } from '../../ground/db/databaseMetrics.ts';
import { DatabaseProbe } from '../../ground/db/databaseProbe.ts';
import { type Engine, readEngine } from '../../ground/db/engine.ts';
import type { Queryable, QueryPool } from '../../ground/db/queryable.ts';
import { repeatingReads } from '../../ground/db/repeatRead.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { createRegistry, registerBuildInfo, registerTracing } from '../../ground/telemetry/metrics.ts';
import type { Tracing } from '../../ground/telemetry/tracing.ts';
import { Zones } from '../../ground/zones/zones.ts';

/** Connections for administration, and for the look-ups of keys and tenants, which are rare. */
const ADMIN_POOL_SIZE = 2;

/** What every other wing stands on: the database, the configuration, logs and metrics. */
export interface Ground {
  config: Config;
  log: Logger;
  registry: Registry;
  /** Whether the database answers. */
  breaker: CircuitBreaker;
  engine: Engine;
  /** Of a connection or a pool that the breaker watches. */
  settings(use: DatabaseUse): ConnectionSettings;
  /** The service's own tables. */
  admin: QueryPool;
  /** The same, for reads that may be repeated. */
  lookups: Queryable;
  /** Tenants' data. */
  reads: TenantReads;
  zones: Zones;
  /** Asks the database no more whether it is there. */
  stopWatching(): void;
  /** Closes the pools. Last of all. */
  end(): Promise<void>;
}

/**
 * @param url of a migrated database.
 * @throws {StartupError} when the database does not fit.
 */
export async function wireGround(
  config: Config,
  url: string,
  log: Logger,
  tracing: Tracing,
): Promise<Ground> {
  const registry = createRegistry();
  registerTracing(registry, tracing);
  const probe = new DatabaseProbe({
    connect: () => connect(connectionSettings(url, config.database, 'probe'), log),
    timeoutMs: config.database.probeTimeoutMs,
  });
  const breaker = new CircuitBreaker({
    probe: () => probe.ask(),
    intervalMs: config.database.probeIntervalMs,
    log,
  });
  const metrics = new DatabaseMetrics(registry, breaker);
  const settings = (use: DatabaseUse) => connectionSettings(url, config.database, use, { breaker, metrics });
  const admin = createPool(settings('admin'), ADMIN_POOL_SIZE, log);
  const engine = await readEngine(admin);
  registerBuildInfo(registry, engine);
  const reads = createTenantReads(settings('read'), engine, config.database.readPoolSize, log);
  const lookups = repeatingReads(admin);
  return {
    config,
    log,
    registry,
    breaker,
    engine,
    settings,
    admin,
    lookups,
    reads,
    zones: new Zones(lookups),
    stopWatching() {
      breaker.stop();
      probe.end();
    },
    async end() {
      await Promise.all([reads.end(), admin.end()]);
    },
  };
}
