/** Random numbers that a seed repeats. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** In [0, 1): mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    return mix(this.state) / 4_294_967_296;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  /** One of the entries, each as likely as its weight says; one of them is above 0. */
  pick<Entry extends { weight: number }>(entries: readonly Entry[]): Entry {
    let rest = this.next() * entries.reduce((sum, { weight }) => sum + weight, 0);
    for (const entry of entries) {
      rest -= entry.weight;
      if (rest < 0) return entry;
    }
    return entries.findLast(({ weight }) => weight > 0)!; // the rest was one of rounding
  }

  /** Standard normal (Box–Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  /** Log-normal, by its median and the deviation of its logarithm. */
  logNormal(median: number, sigma: number): number {
    return median * Math.exp(sigma * this.normal());
  }

  /** How many of something happen when `mean` are to be expected. */
  poisson(mean: number): number {
    if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * this.normal()));
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = this.next(); product > limit; product *= this.next()) count++;
    return count;
  }
}

/** In [0, 1), always the same for the same numbers. */
export function noise(...numbers: number[]): number {
  return numbers.reduce((state, number) => mix((state ^ (number * 0x9e3779b1)) >>> 0), 1) / 4_294_967_296;
}

function mix(state: number): number {
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return (t ^ (t >>> 14)) >>> 0;
}
