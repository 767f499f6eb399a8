import { figure, table } from './table.ts';

/** A ratio or a bound that the project has set itself. */
export interface Verdict {
  what: string;
  value: number;
  /** Smallest and largest over the rounds. */
  range: [number, number] | null;
  /** Such as '≥ 0.5'; null where the figure is for information. */
  aim: string | null;
  reached: boolean | null;
}

export function verdictTable(verdicts: Verdict[]): string {
  const rows = verdicts.map(({ what, value, range, aim, reached }) => [
    what,
    figure(value),
    range === null ? '' : `${figure(range[0])}–${figure(range[1])}`,
    aim ?? '',
    reached === null ? '' : reached ? 'yes' : 'NO',
  ]);
  return table(['', 'measured', 'min–max', 'aim', 'reached'], rows);
}
