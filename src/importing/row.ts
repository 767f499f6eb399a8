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
  /** Where it begins, as an editor counts lines: from 1. */
  line: number;
  /** What it says, whatever its line ends: equal rows have equal text. */
  text: string;
}
