/** Classes of durations, each 5 % wider than the one before: 400 of them reach from 50 µs to hours. */
const CLASSES = 400;
const FIRST_MS = 0.05;
const GROWTH = Math.log(1.05);

/** What durations have been of late, within 2.5 %. Costs a logarithm for each, and keeps a few counts. */
export class RecentLatencies {
  /** One for each of the last turns; the one at `now` is being filled. */
  private readonly turns: Uint32Array[];
  private now = 0;

  /** @param turns how many of them are looked back at. */
  constructor(turns: number) {
    this.turns = Array.from({ length: turns }, () => new Uint32Array(CLASSES));
  }

  record(ms: number): void {
    const place = ms <= FIRST_MS ? 0 : Math.ceil(Math.log(ms / FIRST_MS) / GROWTH);
    this.turns[this.now]![Math.min(place, CLASSES - 1)]!++;
  }

  /** Begins a new turn, and forgets the oldest. */
  turn(): void {
    this.now = (this.now + 1) % this.turns.length;
    this.turns[this.now]!.fill(0);
  }

  /** Percentiles by nearest rank, in ms; null where there was nothing. @param ranks above 0, up to 1, ascending. */
  percentiles(...ranks: number[]): number[] | null {
    const sums = new Uint32Array(CLASSES);
    let count = 0;
    for (const turn of this.turns) {
      for (let i = 0; i < CLASSES; i++) {
        sums[i]! += turn[i]!;
        count += turn[i]!;
      }
    }
    if (count === 0) return null;
    let place = 0;
    let below = sums[0]!;
    return ranks.map((rank) => {
      const wanted = Math.ceil(rank * count);
      while (below < wanted) below += sums[++place]!;
      // The middle of a class is what any of it is nearest to.
      return place === 0 ? FIRST_MS : FIRST_MS * Math.exp((place - 0.5) * GROWTH);
    });
  }
}
