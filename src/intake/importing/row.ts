import type { EventFault } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';

/** Why a row is not imported. */
export interface RowFault {
  /** Where in the event (RFC 6901), or '' for the row as a whole. */
  pointer: string;
  code: string;
  message: string;
}

/** One row of a file: its values, or why it has none. */
export type Row<Values> = RowPlace &
  ({ values: Values; fault?: never } | { values?: never; fault: RowFault });

export interface RowPlace {
  /** Where it begins, as an editor counts lines: from 1. In a JSON file, the number of the element, from 1. */
  line: number;
  /** What it says, whatever its line ends: equal rows have equal text. */
  text: string;
  /** The file ends before the row does: nobody knows what it is going to say. It has a fault, and is the last one. */
  unfinished?: true;
}

/** The event of a row, and whether its id was made of the row, which brought none; or what is wrong with it. */
export type RowVerdict =
  | { event: UsageEvent; made: boolean; faults?: never }
  | { event?: never; made?: never; faults: EventFault[] };

/**
 * What to do about a row that may still be being written, since the file ends before it does: read it as it is, or
 * leave it to the next run.
 */
export type LastRow = 'take' | 'leave';

/** The row that is left to the next run. */
export function unfinishedRow(line: number, message: string): Row<never> {
  return { line, text: '', fault: { pointer: '', code: 'unfinished', message }, unfinished: true };
}
