import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { BackgroundLoop } from '../../../ground/db/backgroundLoop.ts';
import type { Engine } from '../../../ground/db/engine.ts';
import type { Logger } from '../../../ground/telemetry/logger.ts';
import { FillPace } from './fillPace.ts';
import { fillSeries } from './fillSeries.ts';
import { foldMeters, settleMembers } from './foldMeters.ts';
import type { MeterUpkeepMetrics } from './meterUpkeepMetrics.ts';
import { surveyMeters } from './surveyMeters.ts';

export interface MeterUpkeepOptions {
  engine: Engine;
  connect(): Promise<pg.Client>;
  /** Between two looks for closed windows, in ms. */
  intervalMs: number;
  retryMs: number;
  metrics: MeterUpkeepMetrics;
  log: Logger;
}

/** For how long a round fills, in ms, before it folds again what has closed meanwhile. */
const FILL_MS = 5_000;
/** Rows of identities a second, seven events each, from which on ingest is to have the machine. */
const BUSY_ROWS = 50;
/** Rest after each step of a fill, as a multiple of what it took: so that ingest loses less than a tenth. */
const REST_WHILE_BUSY = 4;
const REST = 0.1;

/**
 * Keeps meters' numbers: folds the parts of closed windows into the levels, and fills the past of new series from the
 * events; in every instance at once. Each step is a transaction that only one of them is in, and the others leave it; what
 * is broken off leaves no trace.
 */
export class MeterUpkeep extends BackgroundLoop {
  constructor({ engine, connect, intervalMs, retryMs, metrics, log }: MeterUpkeepOptions) {
    const pace = new FillPace();
    let rest = REST;
    let last = { at: performance.now(), rows: Number.POSITIVE_INFINITY };

    const look = async (client: pg.Client): Promise<number> => {
      const survey = await surveyMeters(client);
      metrics.partsWaiting.set(survey.partsWaiting);
      metrics.seriesFilling.set(survey.seriesFilling);
      metrics.fillBehind.set(survey.behindSeconds);
      const now = { at: performance.now(), rows: survey.identityRows };
      const busy = (now.rows - last.rows) / Math.max(0.001, (now.at - last.at) / 1_000) > BUSY_ROWS;
      rest = busy ? REST_WHILE_BUSY : REST;
      pace.sparing = busy;
      last = now;
      return survey.seriesFilling;
    };

    super({
      name: 'keeping meters',
      connect,
      intervalMs,
      retryMs,
      log,
      async round(client, signal) {
        for (let more = true; more && !signal.aborted; ) {
          const step = await foldMeters(client, engine);
          if (step === null) metrics.left.inc();
          metrics.folded.inc(step?.folded ?? 0);
          more = step?.more ?? false;
        }
        for (let more = true; more && !signal.aborted; )
          more = (await settleMembers(client, engine)) ?? false;
        signal.throwIfAborted();
        let filling = await look(client);
        const until = performance.now() + FILL_MS;
        while (filling > 0 && !signal.aborted) {
          const step = await fillSeries(client, engine, pace, signal);
          if (step === null) {
            metrics.left.inc();
            return intervalMs;
          }
          metrics.filled.inc(step.events);
          metrics.fillSeconds.inc(step.ms / 1_000);
          await sleep(step.ms * rest, undefined, { signal }).catch(() => undefined);
          if (performance.now() > until) return 0;
          filling = await look(client);
        }
        return intervalMs;
      },
    });
  }
}
