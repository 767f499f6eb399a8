import type pg from 'pg';
import type { DeliveryConfig } from '../../config/delivery.ts';
import { BackgroundLoop } from '../../db/backgroundLoop.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { pruneSecrets } from '../pruneSecrets.ts';
import { pruneTallies } from '../pruneTallies.ts';
import { giveUpOld } from './giveUpOld.ts';
import { pruneDeliveries } from './pruneDeliveries.ts';
import type { RelayMetrics } from './relayMetrics.ts';
import { surveyDeliveries } from './surveyDeliveries.ts';

export interface HousekeeperOptions {
  config: DeliveryConfig;
  /** How old an event may be that is accepted, in ms. */
  acceptBehindMs: number;
  connect(): Promise<pg.Client>;
  metrics: RelayMetrics;
  log: Logger;
}

const SURVEY_MS = 5_000;
/** Rounds between two clearings: a quarter of an hour. */
const ROUNDS_PER_CLEARING = 180;

/** Counts what waits, and now and then clears away what is old. */
export class Housekeeper extends BackgroundLoop {
  constructor({ config, acceptBehindMs, connect, metrics, log }: HousekeeperOptions) {
    let rounds = Math.floor(Math.random() * ROUNDS_PER_CLEARING); // instances take turns
    super({
      name: 'delivery housekeeping',
      connect,
      intervalMs: SURVEY_MS,
      retryMs: SURVEY_MS,
      log,
      async round(client) {
        await surveyDeliveries(client, metrics);
        if (++rounds % ROUNDS_PER_CLEARING === 0) {
          const done = [
            await giveUpOld(client, config),
            await pruneDeliveries(client, config),
            await pruneTallies(client, acceptBehindMs),
            await pruneSecrets(client),
          ];
          if (done.includes(true)) rounds = -1; // there is more
        }
        return SURVEY_MS;
      },
    });
  }
}
