/** Whose figures: a tenant's, or those of all (null). */
export type Scope = string | null;

/** What the database says of a scope, of all instances. Counting stops at 10,000. */
export interface DatabaseFigures {
  /** Up to when windows are closed; ISO 8601. */
  closedUntil: string;
  /** Closed windows whose late events some rollup still lacks. */
  lateWindows: number;
  /** Messages not yet made into deliveries. */
  messagesWaiting: number;
  /** Deliveries neither delivered nor dead. */
  deliveriesPending: number;
  deadLetters: number;
}

/** How things stand at a moment. */
export interface Overview {
  at: string;
  tenantId: Scope;
  /** Of this instance alone. Sums are absolute, since `since`. */
  instance: {
    /** Of this run of the process. */
    id: string;
    since: string;
    accepted: number;
    duplicates: number;
    rejected: number;
    /** Accepted, between the sample before and this one; null: there is none before. */
    eventsPerSecond: number | null;
    /** From a request's being queued to its commit, in the last ten seconds; null: there was none. */
    ingestMs: { p50: number; p99: number } | null;
    /** Events that wait to be written. */
    queueRows: number;
  };
  /** Of all instances. */
  database: { [Figure in keyof DatabaseFigures]: DatabaseFigures[Figure] | null } & {
    /** Whether it answered when it was last asked. */
    available: boolean;
    /** When the figures were so; null: they are not known. */
    asOf: string | null;
    ageMs: number | null;
  };
}
