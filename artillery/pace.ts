const BIN_MS = 100;

/** Events over time. */
export class Pace {
  private readonly bins = new Map<number, number>();

  add(at: number, events: number): void {
    const bin = Math.floor(at / BIN_MS);
    this.bins.set(bin, (this.bins.get(bin) ?? 0) + events);
  }

  /**
   * Events/s over the stretch of this length (ms) that has most of them. From counts: Artillery's own rates may be
   * averages over idle time, and when a phase of it begins is not known.
   */
  highest(durationMs: number): number {
    const length = durationMs / BIN_MS;
    const bins = [...this.bins].sort(([a], [b]) => a - b);
    let events = 0;
    let most = 0;
    let oldest = 0;
    for (const [bin, count] of bins) {
      events += count;
      while (bins[oldest]![0] <= bin - length) events -= bins[oldest++]![1];
      most = Math.max(most, events);
    }
    return most / (durationMs / 1_000);
  }
}
