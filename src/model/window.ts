/** Length of a window in ms. Windows are aligned to the epoch. */
export const WINDOW_MS = 30_000;
/** Length of a window in microseconds, the resolution events are stored with. */
export const WINDOW_MICROS = WINDOW_MS * 1_000;

/** Start (ms since the epoch) of the window that holds the given moment (ms since the epoch). */
export function windowStart(ms: number): number {
  return Math.floor(ms / WINDOW_MS) * WINDOW_MS;
}
