import { WINDOW_MS } from '../../model/window.ts';

/** Where sums can be read from, finest first. */
export const LEVELS = ['raw', '30s', '1h', '1d'] as const;
export type Level = (typeof LEVELS)[number];

/** Length of a bucket in ms; of the events themselves, what they are told apart by. */
export const LEVEL_MS: Record<Level, number> = {
  raw: 1,
  '30s': WINDOW_MS,
  '1h': 3_600_000,
  '1d': 86_400_000,
};
/** Segments beyond which the scattered stale buckets are read as one stretch: exact all the same, and short SQL. */
const MAX_SEGMENTS = 40;

/** A stretch of time, [from, to) in ms, and the level that serves it. */
export interface Segment {
  level: Level;
  from: number;
  to: number;
}

/** Starts (ms) of the 30-second windows that some rollup lacks a late event of, or a stretch that holds them all. */
export type StaleWindows = number[] | { earliest: number; latest: number };

/**
 * Covers [from, to) so that every moment is read exactly once, each from the coarsest level that may serve it:
 * whole buckets only, and none that lacks a late event.
 *
 * @param coarsest the coarsest level whose buckets fit into the buckets of the answer.
 */
export function planSegments(from: number, to: number, coarsest: Level, stale: StaleWindows): Segment[] {
  if (Array.isArray(stale)) {
    const segments = cover(from, to, coarsest, stale);
    if (segments.length <= MAX_SEGMENTS) return segments;
  }
  const { earliest, latest } = Array.isArray(stale) ? stretchOf(stale) : stale;
  const first = Math.max(from, earliest);
  const last = Math.min(to, latest + WINDOW_MS);
  return [
    ...cover(from, first, coarsest, []),
    { level: 'raw', from: first, to: last },
    ...cover(last, to, coarsest, []),
  ];
}

function stretchOf(stale: number[]): { earliest: number; latest: number } {
  return {
    earliest: stale.reduce((a, b) => Math.min(a, b)),
    latest: stale.reduce((a, b) => Math.max(a, b)),
  };
}

function cover(from: number, to: number, level: Level, stale: number[]): Segment[] {
  if (from >= to) return [];
  if (level === 'raw') return [{ level, from, to }];
  const finer = LEVELS[LEVELS.indexOf(level) - 1]!;
  const size = LEVEL_MS[level];
  const wholeFrom = align(from, level, 'up');
  const wholeTo = align(to, level, 'down');
  if (wholeFrom >= wholeTo) return cover(from, to, finer, stale);

  const segments = cover(from, wholeFrom, finer, stale);
  let at = wholeFrom;
  for (const [bucket, within] of staleBuckets(stale, level, wholeFrom, wholeTo)) {
    if (bucket > at) append(segments, { level, from: at, to: bucket });
    for (const segment of cover(bucket, bucket + size, finer, within)) append(segments, segment);
    at = bucket + size;
  }
  if (at < wholeTo) append(segments, { level, from: at, to: wholeTo });
  for (const segment of cover(wholeTo, to, finer, stale)) append(segments, segment);
  return segments;
}

/** Starts of the buckets of a level that hold stale windows, ascending, each with those it holds. */
function staleBuckets(stale: number[], level: Level, from: number, to: number): [number, number[]][] {
  const buckets = new Map<number, number[]>();
  for (const start of stale) {
    if (start < from || start >= to) continue;
    const bucket = align(start, level, 'down');
    const within = buckets.get(bucket);
    if (within) within.push(start);
    else buckets.set(bucket, [start]);
  }
  return [...buckets].sort(([a], [b]) => a - b);
}

function append(segments: Segment[], next: Segment): void {
  const last = segments.at(-1);
  if (last && last.level === next.level && last.to === next.from) last.to = next.to;
  else segments.push(next);
}

function align(ms: number, level: Level, direction: 'up' | 'down'): number {
  const size = LEVEL_MS[level];
  return (direction === 'up' ? Math.ceil(ms / size) : Math.floor(ms / size)) * size;
}
