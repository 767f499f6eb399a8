import type { UsagePeriod } from './messageTypes.ts';

const LENGTH_MS = { hour: 3_600_000, day: 86_400_000 };

/** Start of the period of UTC that holds a moment, in ms. @param micros since the epoch. */
export function periodStart(period: UsagePeriod, micros: number): number {
  const ms = Math.floor(micros / 1_000);
  if (period !== 'month') return Math.floor(ms / LENGTH_MS[period]) * LENGTH_MS[period];
  const at = new Date(ms);
  return startOfMonth(at.getUTCFullYear(), at.getUTCMonth());
}

/** Its end. @param start in ms. */
export function periodEnd(period: UsagePeriod, start: number): number {
  if (period !== 'month') return start + LENGTH_MS[period];
  const at = new Date(start);
  return startOfMonth(at.getUTCFullYear(), at.getUTCMonth() + 1);
}

/** `Date.UTC` takes the year 50 for 1950. */
function startOfMonth(year: number, month: number): number {
  return new Date(0).setUTCFullYear(year, month, 1);
}
