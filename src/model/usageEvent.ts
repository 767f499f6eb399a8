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
  /** The metadata that has no column, parsed: what `metadata` is the text of. Null: there is none. Not stored. */
  document: Readonly<Record<string, unknown>> | null;
  /** Its id is an Idempotency-Key: what it was used for is kept, to tell a repetition from another request. */
  idempotent?: true;
  /** What became of the usage object of an AI call that came with it. Left out: there was none. Not stored by itself. */
  aiUsage?: AiUsageVerdict;
}

/** What a usage object of an AI provider says. */
export interface AiUsageVerdict {
  /** `counted`; `unknown`: counts are missing; `unrecognised`: nobody can tell what its counts mean. */
  status: 'counted' | 'unknown' | 'unrecognised';
  /** The shape that was recognised, one of a few; `none`. */
  shape: string;
}

export const DEFAULT_EVENT_TYPE = 'api.request';
/** Its value is added to the counter that is named as its customer. */
export const COUNTER_INCREMENT = 'counter.increment';

/** What an event adds to a sum of values: one of the type `negative` takes its value away. */
export function signedValue({ eventType, value }: UsageEvent): string {
  if (value === null) return '0';
  if (eventType !== 'negative') return value;
  return value.startsWith('-') ? value.slice(1) : `-${value}`;
}
