/** Lets so many go at a time; the others wait, first come, first served, but not for ever. */
export class Turns {
  private free: number;
  private readonly waitMs: number;
  private readonly tooLate: () => Error;
  private readonly waiting = new Set<() => void>();

  /**
   * @param waitMs how long one may wait for its turn.
   * @param tooLate what is thrown then.
   */
  constructor(atOnce: number, waitMs: number, tooLate: () => Error) {
    this.free = atOnce;
    this.waitMs = waitMs;
    this.tooLate = tooLate;
  }

  async take<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.free > 0) this.free--;
    else await this.turn();
    try {
      return await work();
    } finally {
      const next = this.waiting.values().next().value;
      if (next) next();
      else this.free++;
    }
  }

  private turn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        this.waiting.delete(go);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.waiting.delete(go);
        reject(this.tooLate());
      }, this.waitMs);
      this.waiting.add(go);
    });
  }
}
