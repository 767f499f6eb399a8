/** Collects the values of a statement while its text is put together. */
export class SqlParameters {
  readonly values: unknown[] = [];

  /** @returns the placeholder to put into the text. */
  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** A literal, so that the planner can leave chunks out: plans for parameters cannot. */
export function instant(ms: number): string {
  return `'${new Date(ms).toISOString()}'::timestamptz`;
}
