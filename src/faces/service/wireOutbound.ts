import { connect, createPool } from '../../ground/db/connections.ts';
import { Delivery } from '../../outbound/delivery/delivery.ts';
import type { Resolve } from '../../outbound/delivery/webhook/guardedLookup.ts';
import type { Ground } from './wireGround.ts';

/** Connections for the results of deliveries. */
const DELIVERY_POOL_SIZE = 2;

/** Messages on their way to those who subscribed. */
export interface Outbound {
  delivery: Delivery;
  /** Closes the pool of the results, after the delivery has stopped. */
  end(): Promise<void>;
}

/** @param resolve how names of endpoints become addresses, where not as everywhere on this machine. */
export function wireOutbound(ground: Ground, resolve: Resolve | undefined): Outbound {
  const { config, log, reads, registry, settings } = ground;
  const results = createPool(settings('relay'), DELIVERY_POOL_SIZE, log);
  const delivery = new Delivery({
    config: config.delivery,
    acceptBehindMs: config.ingest.acceptBehindMs,
    connect: () => connect(settings('relay'), log),
    sessions: config.database.pooler === 'none',
    db: results,
    reads,
    registry,
    log,
    resolve,
  });
  return { delivery, end: () => results.end() };
}
