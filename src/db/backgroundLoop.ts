import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from '../telemetry/logger.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from './sqlstate.ts';

export interface BackgroundLoopOptions {
  /** What the log calls it. */
  name: string;
  connect(): Promise<pg.Client>;
  /**
   * One round.
   *
   * @returns how long the pause after it may be, in ms.
   */
  round(client: pg.Client): Promise<number>;
  /** Longest pause between rounds, in ms; a random part of up to a fifth is added or taken, so that instances spread. */
  intervalMs: number;
  /** Pause after a round that failed, in ms, likewise. */
  retryMs: number;
  log: Logger;
}

/**
 * Does rounds on a connection of its own until it is stopped. A round that fails is logged and repeated, on another
 * connection unless a lock was all it lacked.
 */
export class BackgroundLoop {
  private readonly options: BackgroundLoopOptions;
  private readonly stopping = new AbortController();
  private pause = new AbortController();
  private awake = false;
  private client: pg.Client | undefined;
  private loop: Promise<void> | undefined;

  constructor(options: BackgroundLoopOptions) {
    this.options = options;
  }

  start(): void {
    this.loop ??= this.run();
  }

  /** Has the next round begin at once, be it after the one at hand. */
  wake(): void {
    this.awake = true;
    this.pause.abort();
  }

  /** Ends after the round at hand. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.pause.abort();
    await this.loop;
    await this.client?.end().catch(() => undefined);
    this.client = undefined;
  }

  /**
   * One round.
   *
   * @returns how long the pause after it may be, in ms.
   * @throws whatever the round throws; the next one begins afresh.
   */
  async step(): Promise<number> {
    try {
      this.client ??= await this.options.connect();
      return await this.options.round(this.client);
    } catch (error) {
      if (errorCode(error) !== LOCK_NOT_AVAILABLE) this.drop();
      throw error;
    }
  }

  private drop(): void {
    this.client?.connection.stream.destroy();
    this.client = undefined;
  }

  private async run(): Promise<void> {
    const { name, intervalMs, retryMs, log } = this.options;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const jitter = 0.8 + Math.random() * 0.4;
      let pauseMs = retryMs * jitter;
      this.awake = false;
      try {
        pauseMs = Math.min(await this.step(), intervalMs * jitter);
      } catch (error) {
        const busy = errorCode(error) === LOCK_NOT_AVAILABLE;
        log[busy ? 'debug' : 'warn']({ err: error }, `${name} did not end; trying again`);
        this.awake = false; // whatever has come meanwhile does not hurry what fails
      }
      if (this.awake || signal.aborted) continue;
      this.pause = new AbortController();
      await sleep(pauseMs, undefined, { signal: this.pause.signal }).catch(() => undefined);
    }
  }
}
