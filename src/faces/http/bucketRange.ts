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
 * @throws {TidemarkError} `range_invalid`, `range_too_large`, `timezone_invalid`.
 */
export async function bucketRange(
  query: { from: string | undefined; to: string | undefined },
  granularity: Granularity,
  timezone: string,
  { zones, config }: Pick<Services, 'zones' | 'config'>,
  read = instantOf,
): Promise<{ from: number; to: number; offsets: readonly ZoneOffset[] }> {
  const bucketMs = GRANULARITY_MS[granularity];
  const defaults = {
    lengthMs: Math.min(DEFAULT_BUCKETS * bucketMs, 366 * DAY_MS),
    aheadMs: config.ingest.acceptAheadMs,
    maxMs: Math.min(MAX_BUCKETS * bucketMs, MAX_RANGE_MS),
  };
  const { from, to } = parseRange(query, defaults, read);
  const offsets = await zones.offsets(timezone, from, to);
  if (query.from !== undefined) return { from, to, offsets };
  const edges = bucketEdges(granularity, offsets, from, to).slice(0, -1);
  return { from: firstKept(granularity, edges, to, config.retention.days), to, offsets };
}

/** Where a range of our own making begins: at the first of these buckets that is kept whole. */
function firstKept(granularity: Granularity, edges: number[], to: number, days: KeptDays): number {
  const level = coarsestBetween(granularity, edges);
  const kept = level === 'raw' ? days.event : days[`usage_${level}`];
  if (kept === null) return edges[0]!;
  const earliest = (Math.floor(Date.now() / DAY_MS) - kept + 1) * DAY_MS;
  if (earliest >= to) return edges[0]!; // nothing is: the reading refuses it
  return edges.find((edge) => edge >= earliest) ?? earliest;
}
