import type pg from 'pg';
import type { Config } from '../config.ts';
import { BackgroundLoop } from '../db/backgroundLoop.ts';
import type { Engine } from '../db/engine.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../db/sqlstate.ts';
import type { Logger } from '../telemetry/logger.ts';
import { announceClosed } from './announceClosed.ts';
import { countPending } from './countPending.ts';
import { refreshClosed } from './refreshClosed.ts';
import { refreshLate } from './refreshLate.ts';
import { type Refresh, refreshRollup } from './refreshRollup.ts';
import type { WindowMetrics } from './windowMetrics.ts';

export interface RefresherOptions {
  config: Config['windows'];
  engine: Engine;
  connect(): Promise<pg.Client>;
  metrics: WindowMetrics;
  log: Logger;
}

/**
 * Brings the rollups up to the closed windows and to what late events have changed, then announces what has closed;
 * in every instance at once, and beside the closer, which must not wait for it.
 *
 * Correctness rests on conditional updates and on refreshes being idempotent, not on who runs: instances that meet in
 * a refresh get 55P03, and leave it to the other.
 */
export class Refresher extends BackgroundLoop {
  constructor({ config, engine, connect, metrics, log }: RefresherOptions) {
    super({
      name: 'refreshing',
      connect,
      intervalMs: config.intervalMs,
      retryMs: config.retryMs,
      log,
      async round(client) {
        let more = false;
        if (engine === 'timescale') more = await refreshRollups(client, config.stepMinutes, metrics);
        more = (await announceClosed(client)) || more;
        return more ? 0 : config.intervalMs;
      },
    });
  }
}

/** On the postgres engine a trigger keeps the rollups instead. */
async function refreshRollups(
  client: pg.Client,
  stepMinutes: number,
  metrics: WindowMetrics,
): Promise<boolean> {
  const refresh: Refresh = async (rollup, from, to, validity) => {
    const end = metrics.refresh.startTimer({ rollup });
    await refreshRollup(client, rollup, from, to, validity);
    end();
  };
  try {
    const more = await refreshClosed(client, refresh, stepMinutes);
    const late = await refreshLate(client, refresh);
    metrics.caughtUp.inc(late.windows);
    metrics.pending.set(await countPending(client));
    return more || late.more;
  } catch (error) {
    if (errorCode(error) === LOCK_NOT_AVAILABLE) metrics.conflicts.inc({ at: 'refresh' });
    throw error;
  }
}
