import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { WindowsConfig } from '../../ground/config/windows.ts';
import { BackgroundLoop } from '../../ground/db/backgroundLoop.ts';
import type { Engine } from '../../ground/db/engine.ts';
import { gaveWay } from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { announceClosed } from './announceClosed.ts';
import { countPending } from './countPending.ts';
import { CHANGED_PER_ROUND, coverActivity } from './coverActivity.ts';
import { foldWindows } from './foldWindows.ts';
import { refreshClosed } from './refreshClosed.ts';
import { isAnyLate, refreshLate } from './refreshLate.ts';
import { RefreshLease } from './refreshLease.ts';
import { type Refresh, refreshRollup } from './refreshRollup.ts';
import { sumLateWindows } from './sumLateWindows.ts';
import type { WindowMetrics } from './windowMetrics.ts';

export interface RefresherOptions {
  config: WindowsConfig;
  engine: Engine;
  connect(): Promise<pg.Client>;
  metrics: WindowMetrics;
  log: Logger;
}

/** How often a call that met another's work is repeated before the round is, and the pause before it, in ms. */
const REPEATS = 3;
const REPEAT_AFTER_MS = 50;

/**
 * Brings the rollups and the activity tables up to the closed windows and to what late events have changed, and
 * announces what has closed; in every instance at once, and beside the closer, which must not wait for it.
 *
 * Late events may take long. Who has the lease refreshes them, call by call, and between two calls does what is due for
 * the windows that have closed meanwhile; which the other instances do all the while.
 *
 * Correctness rests on conditional updates and on refreshes being idempotent, not on who runs: instances that meet in
 * a refresh get 55P03, and leave it to the other.
 */
export class Refresher extends BackgroundLoop {
  constructor({ config, engine, connect, metrics, log }: RefresherOptions) {
    const lease = new RefreshLease();
    let isSummed = false;
    super({
      name: 'refreshing',
      connect,
      intervalMs: config.intervalMs,
      retryMs: config.retryMs,
      log,
      async round(client, signal) {
        const work = new RefresherRound(client, signal, engine, config, metrics, lease);
        try {
          let more = await work.keepUp();
          more = (await work.catchUp()) || more;
          if (!isSummed) {
            signal.throwIfAborted();
            const moreToSum = await sumLateWindows(client);
            isSummed = moreToSum === false;
            more ||= moreToSum === true;
          }
          if (work.left) throw work.left;
          return more ? 0 : config.intervalMs;
        } catch (error) {
          if (gaveWay(error)) metrics.conflicts.inc({ at: 'refresh' });
          throw error;
        }
      },
    });
  }
}

/** A round: `keepUp` with what has closed, `catchUp` with what late events have changed. */
class RefresherRound {
  private readonly client: pg.Client;
  private readonly signal: AbortSignal;
  private readonly engine: Engine;
  private readonly config: WindowsConfig;
  private readonly metrics: WindowMetrics;
  private readonly lease: RefreshLease;
  /**
   * Why what has closed was left to another instance, or to the next round. The round does all else, and fails with it in
   * the end.
   */
  left: unknown;
  private keptUpAt = 0;

  constructor(
    client: pg.Client,
    signal: AbortSignal,
    engine: Engine,
    config: WindowsConfig,
    metrics: WindowMetrics,
    lease: RefreshLease,
  ) {
    this.client = client;
    this.signal = signal;
    this.engine = engine;
    this.config = config;
    this.metrics = metrics;
    this.lease = lease;
  }

  /**
   * A step of what has closed: rollups, activity, messages.
   *
   * @returns whether there is more to do.
   */
  async keepUp(): Promise<boolean> {
    const { client, engine, signal } = this;
    let more = await (engine === 'timescale' ? this.refreshClosed() : this.fold());
    signal.throwIfAborted();
    more = (await this.cover(0)) || more;
    signal.throwIfAborted();
    more = (await this.unlessLeft(() => announceClosed(client))) || more;
    this.keptUpAt = performance.now();
    return more;
  }

  /**
   * A step of what late events have changed, where that is not another's: first the rollups, since activity is then added
   * up from them.
   *
   * @returns whether there is more to do.
   */
  async catchUp(): Promise<boolean> {
    const { client, engine, lease, metrics, signal } = this;
    signal.throwIfAborted();
    if (engine === 'postgres') return this.cover(CHANGED_PER_ROUND); // late batches change all the rollups themselves
    if (!(await isAnyLate(client))) {
      metrics.pending.set(0);
      return this.cover(CHANGED_PER_ROUND);
    }
    let more = false;
    if (await lease.take(client)) {
      try {
        const late = await refreshLate(client, (...range) => this.refreshLate(...range));
        metrics.caughtUp.inc(late.windows);
        signal.throwIfAborted();
        more = (await this.cover(CHANGED_PER_ROUND)) || late.more;
      } finally {
        // A round that was broken off leaves it to others at once; any other error may be of the connection.
        if (!more) await lease.release(client).catch(() => undefined);
      }
    }
    metrics.pending.set(await countPending(client));
    return more;
  }

  private cover(changed: number): Promise<boolean> {
    const { client, config, metrics } = this;
    return this.unlessLeft(() =>
      timed(metrics, 'activity', () => coverActivity(client, config.stepMinutes, changed)),
    );
  }

  private refreshClosed(): Promise<boolean> {
    const { client, config } = this;
    return this.unlessLeft(() =>
      refreshClosed(client, (...range) => this.refresh(...range), config.stepMinutes),
    );
  }

  private fold(): Promise<boolean> {
    const { client, metrics } = this;
    return this.unlessLeft(() => timed(metrics, 'folding', () => foldWindows(client)));
  }

  /** What may be left where it has to give way: all else is done then. */
  private async unlessLeft(work: () => Promise<boolean>): Promise<boolean> {
    try {
      return await work();
    } catch (error) {
      if (!gaveWay(error)) throw error;
      this.left = error;
      return false;
    }
  }

  private async refreshLate(...range: Parameters<Refresh>): Promise<void> {
    const { client, lease, config, signal } = this;
    for (let repeats = 0; ; repeats++) {
      try {
        await this.refresh(...range);
        break;
      } catch (error) {
        if (!gaveWay(error) || repeats === REPEATS) throw error;
      }
      await sleep(REPEAT_AFTER_MS * 2 ** repeats, undefined, { signal });
    }
    if (performance.now() - this.keptUpAt >= config.intervalMs / 2) await this.keepUp();
    await lease.renew(client);
  }

  private refresh(...[rollup, from, to, validity]: Parameters<Refresh>): Promise<void> {
    this.signal.throwIfAborted();
    return timed(this.metrics, rollup, () => refreshRollup(this.client, rollup, from, to, validity));
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
