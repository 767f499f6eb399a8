/** A window of a customer whose events a correction has changed. */
export interface TouchedWindow {
  customerId: string;
  /** Start, ms since the epoch. */
  start: number;
}

/** Windows by the day of UTC that they lie in, ascending: statements on chunks are planned for one of them each. */
export function byDay<Window extends TouchedWindow>(windows: readonly Window[]): Window[][] {
  const days = new Map<number, Window[]>();
  for (const window of windows) {
    const day = Math.floor(window.start / 86_400_000);
    const others = days.get(day);
    if (others) others.push(window);
    else days.set(day, [window]);
  }
  return [...days].sort(([a], [b]) => a - b).map(([, of]) => of);
}

/** As two parameters: customers, and starts. */
export function columnsOf(windows: readonly TouchedWindow[]): [customers: string[], starts: string[]] {
  return [
    windows.map(({ customerId }) => customerId),
    windows.map(({ start }) => new Date(start).toISOString()),
  ];
}
