import type { KeptDays } from '../../ground/config/retention.ts';
import type { ZoneOffset } from '../../ground/zones/zoneOffset.ts';
import { coarsestBetween } from '../../sums/rollups/buckets.ts';
import { bucketEdges, GRANULARITY_MS, type Granularity } from '../../sums/rollups/granularity.ts';
import { instantOf, parseRange } from './range.ts';
import type { Services } from './services.ts';

const DAY_MS = 86_400_000;
/** Longest range, however coarse its buckets. */
export const MAX_RANGE_MS = 3_660 * DAY_MS;
/** Buckets a range may have. */
const MAX_BUCKETS = 10_000;
/** Buckets of the default range. */
const DEFAULT_BUCKETS = 120;

/**
 * The range that a series by bucket is asked for, in ms since the epoch, and what the zone's clock is ahead of UTC around
 * it. By default it begins where a bucket begins that is kept whole.
 *
 * @param read how `from` and `to` are read: to the ms, or further.
 * @param nowMs `parseRange` tells.
 * @param begins since when there is what is asked for, in ms since the epoch: asked where nobody says from when on.
 * @throws {TidemarkError} `range_invalid`, `range_too_large`, `timezone_invalid`.
 */
export async function bucketRange(
  query: { from: string | undefined; to: string | undefined },
  granularity: Granularity,
  timezone: string,
  { zones, config }: Pick<Services, 'zones' | 'config'>,
  read = instantOf,
  begins?: () => Promise<number>,
  nowMs?: number,
): Promise<{ from: number; to: number; offsets: readonly ZoneOffset[] }> {
  const bucketMs = GRANULARITY_MS[granularity];
  const defaults = {
    lengthMs: Math.min(DEFAULT_BUCKETS * bucketMs, 366 * DAY_MS),
    aheadMs: config.ingest.acceptAheadMs,
    maxMs: Math.min(MAX_BUCKETS * bucketMs, MAX_RANGE_MS),
    nowMs,
  };
  const { from, to } = parseRange(query, defaults, read);
  const offsets = await zones.offsets(timezone, from, to);
  if (query.from !== undefined) return { from, to, offsets };
  const edges = bucketEdges(granularity, offsets, from, to).slice(0, -1);
  const kept = keptFrom(granularity, edges, config.retention.days);
  const begun = (await begins?.()) ?? Number.NEGATIVE_INFINITY;
  return { from: firstFrom(Math.max(kept, begun), edges, to), to, offsets };
}

/** Since when the level that these buckets are read from is kept; -Infinity: since ever. */
function keptFrom(granularity: Granularity, edges: number[], days: KeptDays): number {
  const level = coarsestBetween(granularity, edges);
  const kept = level === 'raw' ? days.event : days[`usage_${level}`];
  if (kept === null) return Number.NEGATIVE_INFINITY;
  return (Math.floor(Date.now() / DAY_MS) - kept + 1) * DAY_MS;
}

/** Where a range of our own making begins: at the first of these buckets that there is all of. */
function firstFrom(earliest: number, edges: number[], to: number): number {
  if (earliest >= to) return edges[0]!; // there is none: the reading refuses it
  return edges.find((edge) => edge >= earliest) ?? earliest;
}
