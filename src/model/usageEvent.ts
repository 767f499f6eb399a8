/** One usage event as it is stored: every dialect is turned into this. Absent values are null. */
export interface UsageEvent {
  tenantId: string;
  customerId: string;
  /** Lower-case UUID: the client's own id, or the UUIDv5 of it. */
  eventId: string;
  /** The client's id where it is not a UUID. */
  externalId: string | null;
  /** When it happened, in microseconds since the Unix epoch. */
  tsMicros: number;
  eventType: string;
  sourceId: string | null;
  endpoint: string | null;
  model: string | null;
  reference: string | null;
  unit: string | null;
  /** A plain decimal of at most 38 digits, 18 of them after the point. */
  value: string | null;
  tokens: number | null;
  inputTokens: number | null;
  outputTokens: number | null;
  latencyMs: number | null;
  /** JSON text of the metadata that has no column. */
  metadata: string | null;
  /** Its id is an Idempotency-Key: what it was used for is kept, to tell a repetition from another request. */
  idempotent?: true;
}

export const DEFAULT_EVENT_TYPE = 'api.request';
/** Its value is added to the counter that is named as its customer. */
export const COUNTER_INCREMENT = 'counter.increment';
