import type { Measurement } from '../load/measurement.ts';
import type { Build } from '../services/build.ts';
import { costsOf } from '../support/costs.ts';
import type { Sample } from '../support/samples.ts';

/** The rows of the table. */
export const ROWS = ['batches', 'single', 'import', 'disk', 'windows'] as const;
export type Row = (typeof ROWS)[number];

/** Whose figure it is: a build's, or that of what both are set against in the same round, as ../README.md names it. */
export type Who = Build['who'] | 'a' | 'b' | 'c';

export interface BuildSample extends Sample {
  row: Row;
  who: Who;
}

/** A measurement of events/s as a sample. */
export function ratedSample(row: Row, who: Who, measured: Measurement): BuildSample {
  const { eventsPerSecond, usage, generatorCores, problems } = measured;
  return {
    row,
    variant: '',
    who,
    value: eventsPerSecond,
    ...costsOf({ ...usage, generatorCores }, eventsPerSecond),
    problems,
  };
}
