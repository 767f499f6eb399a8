import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../load/series.ts';
import type { HeldClosing } from '../services/heldClosing.ts';

const LOOK_MS = 200;
/** As by default: how long a window stays open after its end, in ms. */
const GRACE_MS = 2_000;

export interface TimeLapseLimits {
  /** How far events may be ahead of what is refreshed, in ms. */
  lagMs: number;
  /** After how many days a chunk that has ended is packed. */
  packAfterDays: number;
}

/**
 * Days that pass in minutes. The time is that of the events: up to which all have been answered. Windows are closed by it,
 * and chunks are due for packing by it; what follows from that the service does by itself. Events wait where refreshing
 * does not follow.
 */
export class TimeLapse {
  /** The time, in ms since the epoch. */
  now: number;
  /** Up to which summaries are refreshed and covered. */
  refreshedUntil: number;
  /** How often it was looked in on the events, and how often they had to wait. */
  looks = { all: 0, held: 0 };
  private readonly closing: HeldClosing;
  private readonly limits: TimeLapseLimits;
  private running = true;
  private readonly loop: Promise<void>;

  /**
   * @param from the time that it begins at, in ms since the epoch.
   */
  constructor(closing: HeldClosing, from: number, limits: TimeLapseLimits) {
    this.closing = closing;
    this.limits = limits;
    this.now = from;
    this.refreshedUntil = from;
    this.loop = this.run();
    this.loop.catch(() => undefined);
  }

  /** To be called with how far the events are. @returns up to which time they may go on. */
  steer({ answeredUntil, held }: Progress): number {
    this.now = answeredUntil;
    this.looks.all++;
    if (held) this.looks.held++;
    return this.refreshedUntil + this.limits.lagMs;
  }

  /** Rejects when time stands still, because something has gone wrong. */
  get failed(): Promise<never> {
    return this.loop.then(() => new Promise<never>(() => undefined));
  }

  async stop(): Promise<void> {
    this.running = false;
    await this.loop;
  }

  private async run(): Promise<void> {
    const { client } = this.closing;
    while (this.running) {
      await this.closing.closeUntil(this.now - GRACE_MS);
      const { rows } = await client.query<{ until: Date }>(
        'select least(refreshed_30s, covered_until) as until from window_state, window_coverage',
      );
      this.refreshedUntil = rows[0]!.until.getTime();
      await client.query(
        `update retention set compress_after = make_interval(secs => $1, days => $2) where compress_after is not null`,
        [Math.round((Date.now() - this.now) / 1_000), this.limits.packAfterDays],
      );
      await sleep(LOOK_MS);
    }
  }
}
