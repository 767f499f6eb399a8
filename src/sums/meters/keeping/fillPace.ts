/** What a step is to take, in ms: it holds up folding, and all of it is done again when it is broken off. */
const AIM_MS = 1_000;
const FEWEST_EVENTS = 1_000;
const MOST_EVENTS = 2_000_000;
const WINDOW_MS = 30_000;
const MOST_BLIND_MS = 32 * 86_400_000;

/** How much is filled in a step, by how long the last ones took. */
export class FillPace {
  /** Events of a step, where it is known how many there are. */
  events = 100_000;
  /** The time that a step is of, in ms, where nothing is known of it. */
  blindMs = 3_600_000;
  /** What a step may be of at most, in ms; after one that took too long. */
  mostMs = Number.POSITIVE_INFINITY;
  /** Whether a step is to have one processor at most, since others have need of them. */
  sparing = false;

  /** A step has been done. @param events that it has read and counted. */
  took(ms: number, events: number): void {
    const factor = Math.min(2, Math.max(0.25, AIM_MS / Math.max(1, ms)));
    this.mostMs *= 2;
    this.blindMs = between(WINDOW_MS, this.blindMs * factor, MOST_BLIND_MS);
    // A step that found less than it was to take says nothing of how fast it goes.
    if (factor < 1 || events > this.events / 2) {
      this.events = Math.round(between(FEWEST_EVENTS, this.events * factor, MOST_EVENTS));
    }
  }

  /** A step of that much time, in ms, has taken too long, and nothing of it is left. */
  tookTooLong(spanMs: number): void {
    this.mostMs = Math.max(WINDOW_MS, spanMs / 8);
    this.blindMs = Math.max(WINDOW_MS, Math.min(this.blindMs, this.mostMs));
    this.events = Math.max(FEWEST_EVENTS, Math.round(this.events / 8));
  }

  /** Whether a step of that much time can be divided. */
  canDivide(spanMs: number): boolean {
    return spanMs > WINDOW_MS;
  }
}

function between(least: number, value: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
