import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Config } from '../config.ts';
import type { Engine } from '../db/engine.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../db/sqlstate.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ClosedFrontier } from './closedFrontier.ts';
import type { CloserMetrics } from './closerMetrics.ts';
import { type Closing, closeWindows } from './closeWindows.ts';
import { refreshClosed } from './refreshClosed.ts';
import { refreshLate } from './refreshLate.ts';
import { type Rollup, refreshRollup } from './refreshRollup.ts';

export interface CloserOptions {
  config: Config['windows'];
  engine: Engine;
  connect(): Promise<pg.Client>;
  frontier: ClosedFrontier;
  metrics: CloserMetrics;
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
   * @throws whatever the database says; the next round takes up where this one ended, on another connection if this
   * one may be broken.
   */
  async step(): Promise<void> {
    try {
      this.client ??= await this.options.connect();
      await this.round(this.client);
    } catch (error) {
      if (errorCode(error) === LOCK_NOT_AVAILABLE) this.options.metrics.conflicts.inc();
      else this.drop();
      throw error;
    }
  }

  private async round(client: pg.Client): Promise<void> {
    const { config, engine, frontier, metrics } = this.options;
    const closing = await closeWindows(client, config.graceMs, config.lockTimeoutMs);
    frontier.advance(closing.closedUntilMicros);
    this.note(closing);
    if (engine === 'postgres') return; // the trigger keeps the rollups
    const refresh = (rollup: Rollup, from: string, to: string) => this.refresh(client, rollup, from, to);
    await refreshClosed(client, refresh, config.stepMinutes);
    metrics.caughtUp.inc(await refreshLate(client, refresh));
  }

  private async refresh(client: pg.Client, rollup: Rollup, from: string, to: string): Promise<void> {
    const end = this.options.metrics.refresh.startTimer({ rollup });
    await refreshRollup(client, rollup, from, to);
    end();
  }

  private drop(): void {
    this.client?.connection.stream.destroy();
    this.client = undefined;
  }

  private note({ outcome, lockWaitMs, lagMs }: Closing): void {
    if (outcome === null) return;
    const { metrics } = this.options;
    metrics.lockWait.observe(lockWaitMs / 1_000);
    if (outcome === 'lost') metrics.lost.inc();
    else {
      metrics.won.inc();
      metrics.closeLag.observe(lagMs / 1_000);
    }
  }

  private async run(): Promise<void> {
    const { config, log } = this.options;
    while (!this.stopping.signal.aborted) {
      try {
        await this.step();
      } catch (error) {
        const busy = errorCode(error) === LOCK_NOT_AVAILABLE;
        log[busy ? 'debug' : 'warn']({ err: error }, 'closing did not end; trying again');
      }
      const jitter = 0.8 + Math.random() * 0.4;
      await sleep(config.intervalMs * jitter, undefined, { signal: this.stopping.signal }).catch(
        () => undefined,
      );
    }
  }
}
