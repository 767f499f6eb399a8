import { WINDOW_MS } from '../../../model/window.ts';
import { LEVELS, type Level, planSegments, type Segment } from '../../rollups/segments.ts';
import type { MeterMoment, SeriesState } from './seriesState.ts';

/** A stretch of time, [from, to) in ms, and what serves it: a level, the events, or the parts that no level has yet. */
export interface MeterSegment {
  series: SeriesState;
  source: Level | 'parts';
  from: number;
  to: number;
}

/**
 * Covers [from, to), ms to the microsecond, so that each event is read exactly once: windows that a series is filled
 * with from its levels and parts, what lies before from the events, and what lies before those from the series that
 * it took the place of.
 *
 * @param coarsest the coarsest level whose buckets fit into those of the answer.
 */
export function planMeter(
  { series, eventsKeptFrom, membersUntil }: MeterMoment,
  range: { from: number; to: number },
  coarsest: Level,
): MeterSegment[] {
  const segments: MeterSegment[] = [];
  const begins = series.definition.eventFromMicros;
  const first = begins === null ? range.from : Math.max(range.from, begins / 1_000);
  let { to } = range;
  for (let of: SeriesState | null = series; of !== null && first < to; of = of.predecessor) {
    const filled = Math.max(first, of.filledFrom);
    segments.push(...planFilled(of, { from: filled, to }, coarsest, membersUntil));
    to = Math.min(to, filled);
    const counted = of.predecessor === null ? first : Math.max(first, Math.min(to, eventsKeptFrom));
    if (counted < to) segments.push({ series: of, source: 'raw', from: counted, to });
    to = Math.min(to, counted);
  }
  return segments;
}

/**
 * The same as of a moment: stretches that are `raw` are read from the events, as the series has them; the others, which have not
 * changed since, as ever.
 *
 * @param stretches from `planAsOf`, for sums of 30 seconds.
 */
export function planMeterAsOf(
  moment: MeterMoment,
  stretches: readonly Segment[],
  coarsest: Level,
): MeterSegment[] {
  const { series } = moment;
  const begins = series.definition.eventFromMicros;
  return stretches.flatMap(({ level, from, to }): MeterSegment[] => {
    if (level !== 'raw') return planMeter(moment, { from, to }, coarsest);
    const first = begins === null ? from : Math.max(from, begins / 1_000);
    return first < to ? [{ series, source: 'raw', from: first, to }] : [];
  });
}

/** What a series is filled with: whole windows from its levels and parts, and parts of windows from the events. */
function planFilled(
  series: SeriesState,
  { from, to }: { from: number; to: number },
  coarsest: Level,
  membersUntil: MeterMoment['membersUntil'],
): MeterSegment[] {
  if (from >= to) return [];
  const stretches = series.definition.distinct
    ? [
        { until: membersUntil['1d'], level: coarsest },
        { until: membersUntil['1h'], level: finerOf(coarsest, '1h') },
        { until: to, level: finerOf(coarsest, '30s') },
      ]
    : [{ until: to, level: coarsest }];
  const levels: Segment[] = [];
  let at = from;
  for (const { until, level } of stretches) {
    const end = Math.min(to, until);
    if (at < end) levels.push(...planSegments(at, end, level, []));
    at = Math.max(at, end);
  }
  const windows = {
    from: Math.ceil(from / WINDOW_MS) * WINDOW_MS,
    to: Math.floor(to / WINDOW_MS) * WINDOW_MS,
  };
  return [
    ...levels.map(({ level, ...stretch }) => ({ series, source: level, ...stretch })),
    ...(windows.from < windows.to ? [{ series, source: 'parts' as const, ...windows }] : []),
  ];
}

function finerOf(a: Level, b: Level): Level {
  return LEVELS[Math.min(LEVELS.indexOf(a), LEVELS.indexOf(b))]!;
}
