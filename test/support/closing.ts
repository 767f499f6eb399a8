import type pg from 'pg';
import { type Closing, closeWindows } from '../../src/sums/windows/closeWindows.ts';

/**
 * For services whose windows close when the test says so. Events may then be posted ahead of the clock, and closing
 * may run ahead of it too.
 */
export const CLOSED_BY_HAND = { WINDOW_GRACE_MS: '600000', ACCEPT_AHEAD_SECONDS: '86400' };

/** Closes the windows that end at or before a moment, which is the start of a window, in ms. */
export function closeUpTo(
  sql: pg.Pool,
  untilMs: number,
  limits: { lockTimeoutMs?: number; stalledMs?: number } = {},
): Promise<Closing> {
  const graceMs = graceUpTo(untilMs);
  return closeWindows(sql, { graceMs, lockTimeoutMs: 500, stalledMs: 60_000, ...limits });
}

/** The grace (ms) with which just the windows that end at or before a moment (ms) are due now. */
export function graceUpTo(untilMs: number): number {
  return Date.now() - untilMs - 15_000; // half a window, for what the clocks may differ
}

/** How far windows are closed, in ms. */
export async function closedUntil(sql: pg.Pool): Promise<number> {
  const { rows } = await sql.query('select extract(epoch from closed_until) * 1000 as ms from window_state');
  return Number(rows[0].ms);
}
