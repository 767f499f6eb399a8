import { WINDOW_MS, windowStart } from '../../model/window.ts';

/** Sums of one 30-second window: of a whole tenant, or of one of its customers. */
export interface LiveSums {
  calls: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  /** Sum of latencies in ms, kept to the microsecond, over `latencyCount` events that carried one. */
  latencySumMs: number;
  latencyCount: number;
  /** Without a prototype: the names are the clients' own, `__proto__` and `constructor` among them. */
  byEndpoint: Record<string, { calls: number; tokens: number }>;
  byModel: Record<string, { calls: number; tokens: number }>;
}

/** What one batch adds to one counter. */
export interface LiveIncrement {
  tenantId: string;
  /** Null: the counter of the whole tenant. */
  customerId: string | null;
  /** Start of the 30-second window, ms since the epoch. */
  windowStart: number;
  sums: LiveSums;
}

/** Which counter: of a window, and of a customer or (null) of the whole tenant. */
export type LiveCounterId = Pick<LiveIncrement, 'tenantId' | 'customerId' | 'windowStart'>;

/**
 * Running sums of the current and the previous window. A convenience: they answer fast, the database answers
 * exactly. `read` returns null whenever the counters may not hold everything, and the caller asks the database.
 *
 * `add` is called before the requests of its batch are acknowledged, and hands its increments on before it returns; it
 * need not be waited for. So a `read` that follows an acknowledgement of the same instance finds them.
 */
export interface LiveCounters {
  readonly store: 'redis' | 'memory' | 'none';
  /**
   * Adds one batch's sums; sent before the promise is returned. Called after the commit, with new rows only, each counter at most once per call.
   * Never throws and never delays its caller for longer than the configured timeout. What it cannot add makes
   * `read` answer null for the windows concerned.
   */
  add(increments: LiveIncrement[]): Promise<void>;
  /**
   * The sums of each given window (starts in ms), in order, or null when the store cannot answer for all of them.
   * A window nobody wrote to is all zeros. Names over the configured cap are summed under `(other)`. Never throws.
   */
  read(tenantId: string, customerId: string | null, windowStarts: number[]): Promise<LiveSums[] | null>;
  /**
   * Makes `read` answer null for these counters from now on, since events in them are about to count no more, or otherwise.
   * Never throws; waits as long as `add` does.
   */
  distrust(counters: LiveCounterId[]): Promise<void>;
  /** Whether nothing stands in the way of answering; for readiness and metrics. */
  healthy(): boolean;
  /** Settles within the configured timeout. Afterwards `add` does nothing and `read` answers null. */
  close(): Promise<void>;
}

/** What the endpoints or models over a counter's cap are summed under. */
export const OTHER = '(other)';

export function emptySums(): LiveSums {
  return {
    calls: 0,
    tokens: 0,
    inputTokens: 0,
    outputTokens: 0,
    latencySumMs: 0,
    latencyCount: 0,
    byEndpoint: Object.create(null),
    byModel: Object.create(null),
  };
}

/** The counters that hold some windows of customers of a tenant, as far as they may be read still. */
export function countersOf(
  tenantId: string,
  windows: readonly { customerId: string; start: number }[],
  nowMs: number,
): LiveCounterId[] {
  // As long as sums are added (batchSums.ts): an instance whose clock is behind may be asked.
  const oldest = oldestWindow(nowMs) - WINDOW_MS;
  const own = windows
    .filter(({ start }) => start >= oldest)
    .map(({ customerId, start }) => ({ tenantId, customerId, windowStart: start }));
  const starts = new Set(own.map(({ windowStart }) => windowStart));
  return [...own, ...[...starts].map((windowStart) => ({ tenantId, customerId: null, windowStart }))];
}

/** Start (ms) of the oldest window that counters answer for: the previous one. */
export function oldestWindow(nowMs: number): number {
  return windowStart(nowMs) - WINDOW_MS;
}

/** Start (ms) of the first window that begins after the given moment (ms). */
export function nextWindow(ms: number): number {
  return windowStart(ms) + WINDOW_MS;
}
