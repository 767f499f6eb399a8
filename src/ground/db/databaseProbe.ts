import type pg from 'pg';
import { errorCode, TOO_MANY_CONNECTIONS } from './sqlstate.ts';

export interface DatabaseProbeOptions {
  /** Opens a connection for probes alone. */
  connect(): Promise<pg.Client>;
  /** How long one probe may take, connecting included, in ms. */
  timeoutMs: number;
}

/** Asks the database for a sign of life, on a connection of its own that it keeps while it lives. */
export class DatabaseProbe {
  private readonly options: DatabaseProbeOptions;
  /** Free for the next probe. Several probes may be under way on connections of their own. */
  private idle: pg.Client | undefined;
  private ended = false;

  constructor(options: DatabaseProbeOptions) {
    this.options = options;
  }

  /** @throws when the server cannot be reached or does not answer in time. One that is full is there. */
  async ask(): Promise<void> {
    const until = performance.now() + this.options.timeoutMs;
    const kept = this.idle;
    this.idle = undefined;
    if (kept && (await this.answers(kept, until))) return;
    // What was kept may have been ended while nobody looked.
    if (performance.now() < until && (await this.answersAnew(until))) return;
    throw new Error('the database does not answer');
  }

  end(): void {
    this.ended = true;
    if (this.idle) discard(this.idle);
    this.idle = undefined;
  }

  private async answersAnew(until: number): Promise<boolean> {
    try {
      return await this.answers(await this.options.connect(), until);
    } catch (error) {
      if (errorCode(error) === TOO_MANY_CONNECTIONS) return true;
      throw error;
    }
  }

  /** Whether the server answers on a connection, which is then kept, and otherwise discarded. */
  private async answers(client: pg.Client, until: number): Promise<boolean> {
    const timer = setTimeout(discard, Math.max(0, until - performance.now()), client);
    try {
      await client.query('select');
    } catch {
      discard(client);
      return false;
    } finally {
      clearTimeout(timer);
    }
    if (this.idle || this.ended) discard(client);
    else this.idle = client;
    return true;
  }
}

/** A probe's connection has nothing to say goodbye for, and its end is no news. */
function discard(client: pg.Client): void {
  client.removeAllListeners('error').on('error', () => undefined);
  client.connection.stream.destroy();
}
