/** One entry of a queue, as it was delivered: a body with events of one dialect. */
export interface SourceEntry {
  /** Names this entry within its source, at every delivery. */
  readonly id: string;
  /** What identities are made of for inputs that bring none: the same at every delivery, and of no other entry. */
  readonly origin: string;
  readonly body: Buffer;
  /** Content type or dialect; null: native events. */
  readonly type: string | null;
  /** The tenant that all its events are of; null: that of the source, else the events name theirs. */
  readonly tenantId: string | null;
  /** Of the increment in it, as over HTTP. */
  readonly idempotencyKey: string | null;
  /** Attributes of a CloudEvent in binary mode, without prefix: the body is its data. */
  readonly attributes: Readonly<Record<string, string>> | null;
  /** When it was put into the queue, ms since the epoch; null where that is not known. */
  readonly addedMs: number | null;
  /** It had been delivered before, to whomever. */
  readonly redelivered: boolean;
  /** Why it cannot hold events, where its transport already tells. */
  readonly fault?: Rejection | undefined;
}

/** Why an entry cannot be stored, however often it is tried. */
export interface Rejection {
  /** The code of its first fault, or of the whole entry. */
  code: string;
  message: string;
  faults?: { index: number; pointer: string; code: string; message: string }[];
}

/** How far behind a source is. */
export interface SourceStatus {
  /** Entries delivered to somebody and not acknowledged. */
  pending: number;
  /** Entries not delivered yet; null where the queue cannot tell. */
  lag: number | null;
}

/**
 * A queue that events come from, at least once: an entry is delivered to one of the instances that share the queue, and
 * again, to any of them, until it has been acknowledged or rejected. What is under way when an instance dies is delivered
 * to another after a while. Order is not promised.
 *
 * The methods throw when the queue is away; the caller repeats them. None of them waits for more than some seconds.
 */
export interface Source<Entry extends SourceEntry = SourceEntry> {
  /** For log and metrics. */
  readonly name: string;
  /**
   * The next entries: an empty list when there are none for a second or so. May deliver again what this instance has
   * not settled yet. Called by one at a time, and not before all entries of the last call have been taken up.
   */
  read(): Promise<Entry[]>;
  /** What became of the entries is durable: they are not delivered any more. In any order. */
  acknowledge(entries: Entry[]): Promise<void>;
  /** Puts the entry, with the reason, where somebody will look for it, and acknowledges it then. At least once. */
  reject(entry: Entry, reason: Rejection): Promise<void>;
  status(): Promise<SourceStatus>;
  /** Leaves the queue. What has not been settled is delivered to others. */
  close(): Promise<void>;
}
