const DAY_MICROS = 86_400_000_000;

/** The day (UTC) of a moment (µs since the epoch), counted from 1970-01-01. */
export function utcDay(micros: number): number {
  return Math.floor(micros / DAY_MICROS);
}
