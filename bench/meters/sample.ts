import type { Costs } from '../support/costs.ts';

/** The rows of the table. */
export const ROWS = ['ingest', 'queries', 'unique', 'fill', 'disk'] as const;
export type Row = (typeof ROWS)[number];

/** One figure of one round. */
export interface Sample extends Costs {
  row: Row;
  /** What of the row. */
  variant: string;
  /** Which of those that are set against each other. */
  who: string;
  value: number;
  unit: string;
  problems: string[];
}

/** Where processor time says nothing. */
export const NO_COSTS: Costs = {
  micros: { service: null, postgres: null, generator: null },
  busy: null,
  otherCores: null,
  peakRssMb: null,
};
