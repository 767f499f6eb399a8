import type { Costs } from '../support/costs.ts';
import type { Sample } from '../support/samples.ts';

/** The rows of the table. */
export const ROWS = ['ingest', 'queries', 'unique', 'fill', 'disk'] as const;
export type Row = (typeof ROWS)[number];

export interface MeterSample extends Sample {
  row: Row;
  unit: string;
}

/** Where processor time says nothing. */
export const NO_COSTS: Costs = {
  micros: { service: null, postgres: null, generator: null },
  busy: null,
  otherCores: null,
  peakRssMb: null,
};
