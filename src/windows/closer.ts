import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Config } from '../config.ts';
import type { Engine } from '../db/engine.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../db/sqlstate.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ClosedFrontier } from './closedFrontier.ts';
import { closeWindows } from './closeWindows.ts';
import { refreshClosed } from './refreshClosed.ts';
import { refreshLate } from './refreshLate.ts';

export interface CloserOptions {
  config: Config['windows'];
  engine: Engine;
  connect(): Promise<pg.Client>;
  frontier: ClosedFrontier;
  log: Logger;
}

/**
 * Closes windows and keeps the rollups up to them, in every instance at once. Correctness rests on conditional
 * updates and on refreshes being idempotent, not on who runs: instances that meet in a refresh get 55P03, and leave
 * it to the other.
 */
export class Closer {
  private readonly options: CloserOptions;
  private readonly stopping = new AbortController();
  private client: pg.Client | undefined;
  private loop: Promise<void> | undefined;

  constructor(options: CloserOptions) {
    this.options = options;
  }

  start(): void {
    this.loop ??= this.run();
  }

  /** Ends after the step at hand. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.loop;
    await this.client?.end().catch(() => undefined);
    this.client = undefined;
  }

  /**
   * One round: close what is due, refresh what closed, refresh what late events changed.
   *
   * @throws whatever the database says; the next round takes up where this one ended.
   */
  async step(): Promise<void> {
    const { config, engine, frontier } = this.options;
    this.client ??= await this.options.connect();
    const { closedUntilMicros } = await closeWindows(this.client, config.graceMs, config.lockTimeoutMs);
    frontier.advance(closedUntilMicros);
    if (engine === 'postgres') return; // the trigger keeps the rollups
    await refreshClosed(this.client, config.stepMinutes);
    await refreshLate(this.client);
  }

  private async run(): Promise<void> {
    const { config, log } = this.options;
    while (!this.stopping.signal.aborted) {
      try {
        await this.step();
      } catch (error) {
        if (errorCode(error) === LOCK_NOT_AVAILABLE) {
          log.debug('another instance is refreshing');
        } else {
          log.warn({ err: error }, 'closing failed; trying again');
          this.client?.connection.stream.destroy();
          this.client = undefined;
        }
      }
      const jitter = 0.8 + Math.random() * 0.4;
      await sleep(config.intervalMs * jitter, undefined, { signal: this.stopping.signal }).catch(
        () => undefined,
      );
    }
  }
}
