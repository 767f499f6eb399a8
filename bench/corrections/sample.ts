import type { Costs } from '../support/costs.ts';
import type { Sample } from '../support/samples.ts';

/** The rows of the table. */
export const ROWS = ['one', 'many', 'asOf', 'ingest'] as const;
export type Row = (typeof ROWS)[number];

export interface CorrectionSample extends Sample {
  row: Row;
  unit: string;
}

/** Where processor time says nothing. */
const NO_COSTS: Costs = {
  micros: { service: null, postgres: null, generator: null },
  busy: null,
  otherCores: null,
  peakRssMb: null,
};

/** A time that was measured once in a round. */
export function timed(row: Row, variant: string, who: string, ms: number): CorrectionSample {
  return { row, variant, who, value: ms / 1_000, unit: 's', ...NO_COSTS, problems: [] };
}
