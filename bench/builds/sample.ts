import type { Measurement } from '../load/measurement.ts';
import type { Build } from '../services/build.ts';
import { type Costs, costsOf } from '../support/costs.ts';

/** The rows of the table. */
export const ROWS = ['batches', 'single', 'import', 'disk', 'windows'] as const;
export type Row = (typeof ROWS)[number];

/** Whose figure it is: a build's, or that of what both are set against in the same round, as ../README.md names it. */
export type Who = Build['who'] | 'a' | 'b' | 'c';

/** One figure of one round. */
export interface Sample extends Costs {
  row: Row;
  /** Where a row has several. */
  variant: string;
  who: Who;
  value: number;
  problems: string[];
}

/** A measurement of events/s as a sample. */
export function ratedSample(row: Row, who: Who, measured: Measurement): Sample {
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
