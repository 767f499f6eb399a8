import type pg from 'pg';
import type { WindowsConfig } from '../config/windows.ts';
import { BackgroundLoop } from '../db/backgroundLoop.ts';
import type { Engine } from '../db/engine.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../db/sqlstate.ts';
import type { Logger } from '../telemetry/logger.ts';
import { announceClosed } from './announceClosed.ts';
import { countPending } from './countPending.ts';
import { coverActivity } from './coverActivity.ts';
import { refreshClosed } from './refreshClosed.ts';
import { refreshLate } from './refreshLate.ts';
import { type Refresh, refreshRollup } from './refreshRollup.ts';
import type { WindowMetrics } from './windowMetrics.ts';

export interface RefresherOptions {
  config: WindowsConfig;
  engine: Engine;
  connect(): Promise<pg.Client>;
  metrics: WindowMetrics;
  log: Logger;
}

/**
 * Brings the rollups and the activity tables up to the closed windows and to what late events have changed, then
 * announces what has closed; in every instance at once, and beside the closer, which must not wait for it.
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
        const { stepMinutes, intervalMs } = config;
        const cover = () => timed(metrics, 'activity', () => coverActivity(client, stepMinutes));
        if (engine === 'postgres') {
          const more = await cover(); // a trigger keeps the rollups
          return (await announceClosed(client)) || more ? 0 : intervalMs;
        }
        let more = await refreshRollups(client, { stepMinutes, intervalMs, cover }, metrics);
        more = (await announceClosed(client)) || more;
        return more ? 0 : intervalMs;
      },
    });
  }
}

interface Rounds {
  stepMinutes: number;
  intervalMs: number;
  /** Brings what has closed and what has changed into the activity tables. */
  cover(): Promise<boolean>;
}

async function refreshRollups(
  client: pg.Client,
  { stepMinutes, intervalMs, cover }: Rounds,
  metrics: WindowMetrics,
): Promise<boolean> {
  const refresh: Refresh = (rollup, from, to, validity) =>
    timed(metrics, rollup, () => refreshRollup(client, rollup, from, to, validity));
  let covered = Date.now();
  // Many late events take a while to refresh. Activity, which needs none of that, does not wait for it.
  const refreshAndCover: Refresh = async (...range) => {
    await refresh(...range);
    if (Date.now() - covered < intervalMs / 2) return;
    await cover();
    covered = Date.now();
  };
  try {
    const closed = await refreshClosed(client, refresh, stepMinutes);
    const uncovered = await cover();
    covered = Date.now();
    const late = await refreshLate(client, refreshAndCover);
    metrics.caughtUp.inc(late.windows);
    metrics.pending.set(await countPending(client));
    return closed || uncovered || late.more;
  } catch (error) {
    if (errorCode(error) === LOCK_NOT_AVAILABLE) metrics.conflicts.inc({ at: 'refresh' });
    throw error;
  }
}

async function timed<Result>(
  metrics: WindowMetrics,
  rollup: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const end = metrics.refresh.startTimer({ rollup });
  const result = await work();
  end();
  return result;
}
