import { TidemarkError } from '../../model/errors.ts';
import { parseTimestamp, timestampFault } from '../../model/timestamp.ts';

const EARLIEST = Date.UTC(1970, 0, 1);
const LATEST = Date.UTC(9999, 0, 1);

/**
 * The time range a request asks for, [from, to) in ms.
 *
 * @param defaults length of the range when `from` is left out, and how far `to` reaches past now by default: as far
 * as events are accepted ahead, so that nothing acknowledged is left out. `nowMs`: of an answer as of a moment, that moment.
 * @param read `instantOf`; or `momentOf`, for a range to the microsecond.
 * @throws {TidemarkError} `range_invalid`, `range_too_large`.
 */
export function parseRange(
  query: { from?: string | undefined; to?: string | undefined },
  defaults: { lengthMs: number; aheadMs: number; maxMs: number; nowMs?: number | undefined },
  read: (name: string, text: string) => number = instantOf,
): { from: number; to: number } {
  const now = defaults.nowMs ?? Date.now();
  const to = query.to === undefined ? now + defaults.aheadMs : read('to', query.to);
  const from = query.from === undefined ? Math.min(now, to) - defaults.lengthMs : read('from', query.from);
  if (from >= to) throw new TidemarkError('range_invalid', 'from must be before to');
  if (to - from > defaults.maxMs) {
    throw new TidemarkError('range_too_large', `a range may span at most ${days(defaults.maxMs)} days here`);
  }
  return { from, to };
}

/**
 * The same without bounds of its own: what is left out is as early, or as late, as any event can be.
 *
 * @throws {TidemarkError} `range_invalid`.
 */
export function parseOpenRange(query: { from?: string | undefined; to?: string | undefined }): {
  from: number;
  to: number;
} {
  const from = query.from === undefined ? EARLIEST : instantOf('from', query.from);
  const to = query.to === undefined ? LATEST : instantOf('to', query.to);
  if (from >= to) throw new TidemarkError('range_invalid', 'from must be before to');
  return { from, to };
}

/**
 * A moment in ms since the epoch.
 *
 * @throws {TidemarkError} `range_invalid`, naming the parameter.
 */
export function instantOf(name: string, text: string): number {
  return Math.floor(momentOf(name, text));
}

/** The same to the microsecond, as a fraction. */
export function momentOf(name: string, text: string): number {
  const ms = parseTimestamp(text) / 1_000;
  if (Number.isNaN(ms)) {
    // A plus sign that was not percent-encoded arrives as a space.
    const withPlus = text.replace(/ (?=\d\d(?::?\d\d)?$)/, '+');
    if (withPlus !== text && !Number.isNaN(parseTimestamp(withPlus))) return momentOf(name, withPlus);
    throw new TidemarkError('range_invalid', `${name} ${timestampFault(text)}`);
  }
  if (Math.floor(ms) < EARLIEST || Math.floor(ms) > LATEST) {
    throw new TidemarkError('range_invalid', `${name} is out of bounds`);
  }
  return ms;
}

/** The same in whole microseconds since the epoch. */
export function microsOf(name: string, text: string): number {
  return Math.round(momentOf(name, text) * 1_000);
}

function days(ms: number): number {
  return Math.floor(ms / 8_640_000) / 10;
}
