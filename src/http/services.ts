import type { BlockList } from 'node:net';
import type { Registry } from 'prom-client';
import type { Config } from '../config.ts';
import type { CircuitBreaker } from '../db/circuitBreaker.ts';
import type { Queryable } from '../db/connections.ts';
import type { TenantReads } from '../db/tenantReads.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { EndpointCheck } from '../delivery/endpointCheck.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { RejectedEvents } from '../ingest/rejectedEvents.ts';
import type { RateLimiter } from '../limits/rateLimiter.ts';
import type { LiveCounters } from '../live/liveCounters.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Authenticator } from '../tenancy/authenticator.ts';
import type { TenantDirectory } from '../tenancy/tenantDirectory.ts';
import type { Zones } from '../zones/zones.ts';
import type { HttpMetrics } from './httpMetrics.ts';

/** What the routes call. */
export interface Services {
  config: Config;
  /** Whether the database answers. */
  breaker: Pick<CircuitBreaker, 'open'>;
  /** Tenants' data. */
  reads: TenantReads;
  /** The service's own tables. */
  admin: Queryable;
  ingest: Ingest;
  /** Asked before somebody subscribes. */
  endpointCheck: EndpointCheck;
  /** Sends at once. */
  delivery: Pick<Delivery, 'send'>;
  limiter: RateLimiter;
  live: LiveCounters;
  tenants: TenantDirectory;
  /** Time zones, as the database has them. */
  zones: Pick<Zones, 'offsets' | 'rules'>;
  authenticator: Authenticator;
  /** Whose word on where a request comes from is taken. */
  trustedProxies: BlockList;
  registry: Registry;
  httpMetrics: HttpMetrics;
  rejectedEvents: RejectedEvents;
  log: Logger;
  /** False from the moment a shutdown begins. */
  accepting(): boolean;
}
