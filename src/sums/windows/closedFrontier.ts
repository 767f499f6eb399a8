/**
 * How far windows are closed, as last heard from the database. Writers guess by it which events are late and the
 * database checks the guess (`begin_batch`), so it may lag behind but never runs ahead.
 */
export class ClosedFrontier {
  private until = 0;

  /** Microseconds since the epoch. */
  get micros(): number {
    return this.until;
  }

  advance(micros: number): void {
    if (micros > this.until) this.until = micros;
  }
}
