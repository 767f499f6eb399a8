import { instant, type SqlParameters } from '../../ground/db/sqlParameters.ts';
import type { ZoneOffset } from '../../ground/zones/zoneOffset.ts';
import { bucketEdges, followsTimezone, GRANULARITY_MS, type Granularity } from './granularity.ts';
import { LEVEL_MS, LEVELS, type Level } from './segments.ts';

/** The buckets of an answer, for its SQL. */
export interface Buckets {
  /** The coarsest level whose buckets never straddle two of the answer's. */
  coarsest: Level;
  /** SQL for the start of the bucket that a rollup's `bucket` falls into. */
  at: string;
  /** SQL for the end of the bucket that begins at `at`. */
  end: string;
}

/**
 * The buckets that [from, to) touches. Where all are as long as each other, they are counted; else the list of their
 * edges goes along with the statement, and each row looks up its own.
 *
 * @param offsets of the zone, from 70 days before `from` on.
 */
export function bucketsOf(
  granularity: Granularity,
  offsets: readonly ZoneOffset[],
  { from, to }: { from: number; to: number },
  parameters: SqlParameters,
): Buckets {
  const size = GRANULARITY_MS[granularity];
  if (!followsTimezone(granularity)) return { coarsest: '30s', ...counted(size, 0) };
  const edges = bucketEdges(granularity, offsets, from, to);
  const coarsest = coarsestBetween(granularity, edges.slice(1, -1));
  if (granularity !== '1mo' && edges.every((edge, i) => i === 0 || edge - edges[i - 1]! === size)) {
    return { coarsest, ...counted(size, edges[0]!) };
  }
  const list = `${parameters.add(`{${edges.map((edge) => new Date(edge).toISOString()).join()}}`)}::timestamptz[]`;
  return {
    coarsest,
    at: `(${list})[width_bucket(bucket, ${list})]`,
    end: `(${list})[width_bucket(at, ${list}) + 1]`,
  };
}

function counted(size: number, origin: number): Pick<Buckets, 'at' | 'end'> {
  const length = `interval '${size / 1_000} seconds'`;
  return { at: `date_bin(${length}, bucket, ${instant(origin)})`, end: `at + ${length}` };
}

/**
 * The coarsest level that buckets with these edges can be read from. Since 1970 every clock has been ahead of UTC, and has
 * been set, by whole half minutes.
 */
export function coarsestBetween(granularity: Granularity, edges: number[]): Level {
  if (!followsTimezone(granularity)) return '30s';
  return LEVELS.findLast((level) => edges.every((edge) => edge % LEVEL_MS[level] === 0)) ?? '30s';
}
