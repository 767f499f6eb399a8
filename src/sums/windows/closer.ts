import type pg from 'pg';
import type { WindowsConfig } from '../../ground/config/windows.ts';
import { BackgroundLoop } from '../../ground/db/backgroundLoop.ts';
import { describeHolder, endHolder, holdersOf } from '../../ground/db/holders.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { gaveWay } from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import type { ClosedFrontier } from './closedFrontier.ts';
import { type Closing, closeWindows } from './closeWindows.ts';
import { overdueMs } from './overdue.ts';
import type { WindowMetrics } from './windowMetrics.ts';

export interface CloserOptions {
  config: WindowsConfig;
  connect(): Promise<pg.Client>;
  frontier: ClosedFrontier;
  metrics: WindowMetrics;
  log: Logger;
}

/** How long closing may be overdue before it is asked who is in its way, and between two lines about it, in ms. */
const OVERDUE_MS = 60_000;

/**
 * Closes windows, in every instance at once. Which instance does it is left to the database: the update is
 * conditional, so one wins and the others find nothing left to do.
 */
export class Closer extends BackgroundLoop {
  constructor({ config, connect, frontier, metrics, log }: CloserOptions) {
    const beganMs = Date.now();
    let quietUntil = 0;
    /** Says in the log, once a minute, who keeps windows from closing. */
    const nameHolders = async (client: Queryable) => {
      const overdue = overdueMs(frontier.micros / 1_000 || beganMs, config.graceMs, Date.now());
      if (overdue < OVERDUE_MS || performance.now() < quietUntil) return;
      quietUntil = performance.now() + OVERDUE_MS;
      for (const holder of await holdersOf(client, 'batches')) {
        log.warn(
          { holder, overdueSeconds: Math.round(overdue / 1_000), remedy: endHolder(holder) },
          `windows do not close because of ${describeHolder(holder)}`,
        );
      }
    };
    super({
      name: 'closing',
      connect,
      intervalMs: config.intervalMs,
      retryMs: config.retryMs,
      log,
      async round(client) {
        try {
          const closing = await closeWindows(client, config);
          frontier.advance(closing.closedUntilMicros);
          note(closing, metrics);
          if (closing.outcome === 'held') await nameHolders(client);
          return closing.outcome === 'held' ? config.retryMs : closing.nextDueMs + 1;
        } catch (error) {
          if (gaveWay(error)) {
            metrics.conflicts.inc({ at: 'closing' });
            await nameHolders(client);
          }
          throw error;
        }
      },
    });
  }
}

function note({ outcome, lockWaitMs, lagMs }: Closing, metrics: WindowMetrics): void {
  if (lockWaitMs !== null) metrics.lockWait.observe(lockWaitMs / 1_000);
  if (outcome === 'won') {
    metrics.won.inc();
    if (lagMs !== null) metrics.closeLag.observe(lagMs / 1_000);
  } else if (outcome === 'lost') {
    metrics.lost.inc();
  } else if (outcome === 'held') {
    metrics.held.inc();
  }
}
