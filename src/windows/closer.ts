import type pg from 'pg';
import type { WindowsConfig } from '../config/windows.ts';
import { BackgroundLoop } from '../db/backgroundLoop.ts';
import { gaveWay } from '../db/sqlstate.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ClosedFrontier } from './closedFrontier.ts';
import { type Closing, closeWindows } from './closeWindows.ts';
import type { WindowMetrics } from './windowMetrics.ts';

export interface CloserOptions {
  config: WindowsConfig;
  connect(): Promise<pg.Client>;
  frontier: ClosedFrontier;
  metrics: WindowMetrics;
  log: Logger;
}

/**
 * Closes windows, in every instance at once. Which instance does it is left to the database: the update is
 * conditional, so one wins and the others find nothing left to do.
 */
export class Closer extends BackgroundLoop {
  constructor({ config, connect, frontier, metrics, log }: CloserOptions) {
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
          return closing.outcome === 'held' ? config.retryMs : closing.nextDueMs + 1;
        } catch (error) {
          if (gaveWay(error)) metrics.conflicts.inc({ at: 'closing' });
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
