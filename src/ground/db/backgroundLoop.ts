import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from '../telemetry/logger.ts';
import { cancelStatement } from './cancelStatement.ts';
import { gaveWay } from './sqlstate.ts';

export interface BackgroundLoopOptions {
  /** What the log calls it. */
  name: string;
  connect(): Promise<pg.Client>;
  /**
   * One round.
   *
   * @param signal of the stop: a round looks at it between its statements, and throws or returns; what it returns or
   * throws then is of no interest. A statement that goes on for longer is cancelled.
   * @returns how long the pause after it may be, in ms.
   */
  round(client: pg.Client, signal: AbortSignal): Promise<number>;
  /** Longest pause between rounds, in ms; a random part of up to a fifth is added or taken, so that instances spread. */
  intervalMs: number;
  /** Pause after a round that failed, in ms, likewise. */
  retryMs: number;
  log: Logger;
}

/** How long a round may go on by itself once it is told to stop, in ms. */
const FINISH_MS = 400;
/** How long its statement may take to be cancelled, and its connection to be closed, in ms each. */
const CANCEL_MS = 250;

/**
 * Does rounds on a connection of its own until it is stopped. A round that fails is logged and repeated, on another
 * connection unless it had just to give way to somebody.
 */
export class BackgroundLoop {
  private readonly options: BackgroundLoopOptions;
  private readonly stopping = new AbortController();
  private pause = new AbortController();
  private awake = false;
  private client: pg.Client | undefined;
  private loop: Promise<void> | undefined;
  private current: Promise<unknown> | undefined;
  private stopped: Promise<void> | undefined;

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

  /**
   * Ends within a second. The round at hand is told; a statement that goes on regardless is cancelled, and if that
   * does not end it either, its connection is closed. So a round must be one that may be broken off anywhere.
   */
  stop(): Promise<void> {
    this.stopped ??= this.end();
    return this.stopped;
  }

  private async end(): Promise<void> {
    this.stopping.abort();
    this.pause.abort();
    const round = Promise.allSettled([this.loop, this.current]);
    if (!(await within(FINISH_MS, round))) {
      const { client } = this;
      if (client) void cancelStatement(client).catch(() => undefined);
      if (!(await within(CANCEL_MS, round))) {
        this.drop();
        await within(CANCEL_MS, round); // for it to notice; a connection that is still to come is closed when it comes
      }
    }
    const { client } = this;
    this.client = undefined;
    if (!client) return;
    const left = client.end().catch(() => undefined);
    if (!(await within(CANCEL_MS, left))) client.connection.stream.destroy();
  }

  /**
   * One round.
   *
   * @returns how long the pause after it may be, in ms.
   * @throws whatever the round throws; the next one begins afresh.
   */
  step(): Promise<number> {
    const round = this.oneRound();
    this.current = round.catch(() => undefined);
    return round;
  }

  private async oneRound(): Promise<number> {
    const { signal } = this.stopping;
    try {
      this.client ??= await this.connect();
      signal.throwIfAborted();
      return await this.options.round(this.client, signal);
    } catch (error) {
      if (!gaveWay(error) && !signal.aborted) this.drop();
      throw error;
    }
  }

  private async connect(): Promise<pg.Client> {
    const client = await this.options.connect();
    if (!this.stopping.signal.aborted) return client;
    client.end().catch(() => undefined);
    this.stopping.signal.throwIfAborted();
    return client;
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
        if (signal.aborted) return log.debug({ err: error }, `${name} was broken off`);
        log[gaveWay(error) ? 'debug' : 'warn']({ err: error }, `${name} did not end; trying again`);
        this.awake = false; // whatever has come meanwhile does not hurry what fails
      }
      if (this.awake || signal.aborted) continue;
      this.pause = new AbortController();
      await sleep(pauseMs, undefined, { signal: this.pause.signal }).catch(() => undefined);
    }
  }
}

/** @returns whether the work ended within the time. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const patience = new AbortController();
  const late = sleep(ms, false, { signal: patience.signal }).catch(() => false);
  const ended = await Promise.race([work.then(() => true), late]);
  patience.abort();
  return ended;
}
