import type pg from 'pg';
import type { DeliveryConfig } from '../../../ground/config/delivery.ts';
import { BackgroundLoop } from '../../../ground/db/backgroundLoop.ts';
import type { Logger } from '../../../ground/telemetry/logger.ts';
import { fillRecordHistory } from '../fillRecordHistory.ts';
import { pruneRecordHistory } from '../pruneRecordHistory.ts';
import { pruneSecrets } from '../pruneSecrets.ts';
import { pruneTallies } from '../pruneTallies.ts';
import { giveUpOld } from './giveUpOld.ts';
import { HeldBack } from './heldBack.ts';
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

/** Between two looks for records that are to be added up. Messages wait for them. */
const ROUND_MS = 1_000;
const SURVEY_MS = 5_000;
/** Surveys between two clearings: a quarter of an hour. */
const SURVEYS_PER_CLEARING = 180;

/** Adds up what messages wait for, counts what waits, and now and then clears away what is old. */
export class Housekeeper extends BackgroundLoop {
  constructor({ config, acceptBehindMs, connect, metrics, log }: HousekeeperOptions) {
    let surveys = Math.floor(Math.random() * SURVEYS_PER_CLEARING); // instances take turns
    let surveyAt = 0;
    const heldBack = new HeldBack(log);
    super({
      name: 'delivery housekeeping',
      connect,
      intervalMs: ROUND_MS,
      retryMs: SURVEY_MS,
      log,
      async round(client) {
        const pauseMs = (await fillUnhurried(client)) ? 0 : ROUND_MS;
        if (performance.now() < surveyAt) return pauseMs;
        surveyAt = performance.now() + SURVEY_MS;
        await heldBack.look(client, await surveyDeliveries(client, metrics));
        if (++surveys % SURVEYS_PER_CLEARING === 0) {
          const done = [
            await giveUpOld(client, config),
            await pruneDeliveries(client, config),
            await pruneTallies(client, acceptBehindMs),
            await pruneRecordHistory(client),
            await pruneSecrets(client),
          ];
          if (done.includes(true)) surveys = -1; // there is more
        }
        return pauseMs;
      },
    });
  }
}

/** A day may hold more records than the timeout of a statement allows for. */
async function fillUnhurried(client: pg.Client): Promise<boolean> {
  await client.query('begin');
  try {
    await client.query('set local statement_timeout = 0');
    const more = await fillRecordHistory(client);
    await client.query('commit');
    return more;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
