import type { BlockList } from 'node:net';
import type { Registry } from 'prom-client';
import type { RateLimiter } from '../../access/limits/rateLimiter.ts';
import type { Authenticator } from '../../access/tenancy/authenticator.ts';
import type { PortalAuthenticator } from '../../access/tenancy/portalAuthenticator.ts';
import type { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import type { WrongKeys } from '../../access/tenancy/wrongKeys.ts';
import type { Config } from '../../ground/config/loadConfig.ts';
import type { CircuitBreaker } from '../../ground/db/circuitBreaker.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import type { Zones } from '../../ground/zones/zones.ts';
import type { Backfills } from '../../intake/backfills/backfills.ts';
import type { Corrections } from '../../intake/corrections/corrections.ts';
import type { Ingest } from '../../intake/ingest/ingest.ts';
import type { RejectedEvents } from '../../intake/ingest/rejectedEvents.ts';
import type { Delivery } from '../../outbound/delivery/delivery.ts';
import type { EndpointCheck } from '../../outbound/delivery/endpointCheck.ts';
import type { PriceBooks } from '../../sums/costs/reading/priceBooks.ts';
import type { LiveCounters } from '../../sums/live/liveCounters.ts';
import type { DemoCode } from '../console/demoCode.ts';
import type { LiveView } from '../live/liveView.ts';
import type { HttpMetrics } from './httpMetrics.ts';
import type { OtlpMetrics } from './otlpMetrics.ts';

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
  /** Has events count no more, or otherwise. */
  corrections: Pick<Corrections, 'correct' | 'find'>;
  /** Events that are stored and do not count yet. */
  backfills: Pick<Backfills, 'create' | 'list' | 'show' | 'scope' | 'stage' | 'close' | 'revert' | 'drop'>;
  /** Asked before somebody subscribes. */
  endpointCheck: EndpointCheck;
  /** Sends at once. */
  delivery: Pick<Delivery, 'send'>;
  limiter: RateLimiter;
  live: LiveCounters;
  /** How things stand, as it moves. */
  liveView: Pick<LiveView, 'overview' | 'open'>;
  /** Prices, as reads of costs go by them. */
  priceBooks: PriceBooks;
  tenants: TenantDirectory;
  /** Time zones, as the database has them. */
  zones: Pick<Zones, 'offsets' | 'rules'>;
  authenticator: Authenticator;
  /** Of portal tokens. */
  portalAuthenticator: PortalAuthenticator;
  wrongKeys: WrongKeys;
  /** Gives the demo key once; null: there is none to give. */
  demoCode: DemoCode | null;
  /** Whose word on where a request comes from is taken. */
  trustedProxies: BlockList;
  registry: Registry;
  httpMetrics: HttpMetrics;
  otlpMetrics: OtlpMetrics;
  rejectedEvents: RejectedEvents;
  log: Logger;
  /** False from the moment a shutdown begins. */
  accepting(): boolean;
}
