import { TidemarkError } from '../../../model/errors.ts';
import { WINDOW_MS } from '../../../model/window.ts';
import { type MeterSegment, planMeter } from '../../meters/reading/meterSegments.ts';
import type { MeterMoment } from '../../meters/reading/seriesState.ts';
import type { Level } from '../../rollups/segments.ts';

/** Moments at which prices change that one read may be divided by, besides those between two days. */
const MOST_DIVISIONS = 250;
const DAY_MS = 86_400_000;

/**
 * Covers [from, to), ms to the microsecond, as `planMeter` does, with no row that a change of prices lies within: what is
 * around one comes from finer levels, the window that it is in from the events.
 *
 * @param changes in µs since the epoch, ascending.
 * @throws {TidemarkError} `range_too_large` where prices change too often in it.
 */
export function planCosts(
  moment: MeterMoment,
  { from, to }: { from: number; to: number },
  coarsest: Level,
  changes: readonly number[],
): MeterSegment[] {
  const cuts = changes.map((micros) => micros / 1_000).filter((ms) => ms > from && ms < to);
  if (cuts.filter((ms) => ms % DAY_MS !== 0).length > MOST_DIVISIONS) {
    throw new TidemarkError(
      'range_too_large',
      `prices change more than ${MOST_DIVISIONS} times in this range; ask for a shorter one`,
    );
  }
  const edges = [from, ...cuts, to];
  const pieces = edges.slice(1).map((end, i) => planMeter(moment, { from: edges[i]!, to: end }, coarsest));
  return joined(pieces.flat());
}

/** One after the other as one, where nothing but a change of prices had divided them. */
function joined(segments: readonly MeterSegment[]): MeterSegment[] {
  const kept: MeterSegment[] = [];
  const last = new Map<string, MeterSegment>();
  for (const segment of [...segments].sort((a, b) => a.from - b.from)) {
    const kind = `${segment.series.id} ${segment.source}`;
    const before = last.get(kind);
    if (before && before.to === segment.from) {
      before.to = segment.to;
      continue;
    }
    const next = { ...segment };
    last.set(kind, next);
    kept.push(next);
  }
  return kept;
}

/** Whether a change of prices at this moment, in µs since the epoch, needs no reading of events. */
export function isBetweenWindows(micros: number): boolean {
  return micros % (WINDOW_MS * 1_000) === 0;
}
