/** A clock that showed the real time at `from` (ms since the epoch) and has run `factor` times as fast since. */
export interface VirtualTime {
  from: number;
  factor: number;
}

/** What it shows at a real moment. All in ms since the epoch. */
export function virtualAt({ from, factor }: VirtualTime, realMs: number): number {
  return from + factor * (realMs - from);
}

/** When it shows a moment. */
export function realAt({ from, factor }: VirtualTime, virtualMs: number): number {
  return from + (virtualMs - from) / factor;
}
