import { createHash } from 'node:crypto';
import { type SeriesDefinition, seriesJson } from '../definition/meterDefinition.ts';

/** What `create_series` is asked for. */
export interface NewSeries {
  /** JSON. */
  definition: string;
  /** SHA-256: what has the same one is the same series. */
  digest: Buffer;
  predecessor: number | null;
}

/**
 * A series as it is asked for. One that goes on where another has ended is not the same as one that begins anew, though
 * both be fed alike: before the events that are kept, only the first has a past.
 *
 * @param predecessor the series that a meter has been read from so far.
 */
export function newSeries(series: SeriesDefinition, predecessor: number | null): NewSeries {
  const definition = seriesJson(series);
  const identity = predecessor === null ? definition : `${definition} after ${predecessor}`;
  return { definition, digest: createHash('sha256').update(identity).digest(), predecessor };
}
