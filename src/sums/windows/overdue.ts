import { WINDOW_MS } from '../../model/window.ts';

/**
 * For how long (ms) the first window that is not closed has been due.
 *
 * @param closedUntilMs up to when windows are closed, in ms since the epoch.
 * @param graceMs how long a window stays open after its end.
 */
export function overdueMs(closedUntilMs: number, graceMs: number, nowMs: number): number {
  return Math.max(0, nowMs - closedUntilMs - WINDOW_MS - graceMs);
}
