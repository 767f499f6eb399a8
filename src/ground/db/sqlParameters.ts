import { formatTimestamp } from '../../model/timestamp.ts';

/** Collects the values of a statement while its text is put together. */
export class SqlParameters {
  readonly values: unknown[] = [];

  /** @returns the placeholder to put into the text. */
  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/**
 * A literal, so that the planner can leave chunks out: plans for parameters cannot.
 *
 * @param ms since the epoch; a fraction of one counts to the microsecond.
 */
export function instant(ms: number): string {
  const text = Number.isInteger(ms) ? new Date(ms).toISOString() : formatTimestamp(Math.round(ms * 1_000));
  return `'${text}'::timestamptz`;
}
