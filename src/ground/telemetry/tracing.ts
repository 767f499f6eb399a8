/** Sending of spans, while there is any. */
export interface Tracing {
  /** Spans that the collector has taken, and those it has not, since the start. */
  readonly exported: number;
  readonly failed: number;
  /** Sends what is left, for at most so many ms, and stops. Never throws. */
  close(timeoutMs: number): Promise<void>;
}

/** Nothing is traced. */
export const NO_TRACING: Tracing = { exported: 0, failed: 0, close: async () => undefined };
