/** A delivery that this process holds the lease of. */
export interface Outgoing {
  lease: string;
  deliveryId: string;
  subscriptionId: string;
  /** Empty: the message is of no customer. */
  customerId: string;
  tenantId: string;
  message: Message;
  /** Made before this one, since it became pending. */
  attempts: number;
  destination: Destination;
}

/** What is told, the same on every attempt. */
export interface Message {
  id: string;
  type: string;
  createdAt: Date;
  /** JSON as it was stored: no number of it has passed through a double. */
  payload: string;
}

export interface Destination {
  url: string | null;
  stream: string | null;
  /** `whsec_…`, all of which sign. */
  secrets: string[];
}

/** What became of an attempt. */
export interface AttemptResult {
  ok: boolean;
  /** HTTP status; null: none came. */
  status: number | null;
  error: string | null;
  /** The beginning of the answer. */
  response: string | null;
  durationMs: number;
  /** What the receiver asked for, in ms. */
  retryAfterMs?: number | undefined;
  /** No further attempt would help. */
  final?: boolean;
}

export interface OutgoingRow {
  lease: string;
  delivery_id: string;
  subscription_id: string;
  customer_id: string;
  tenant_id: string;
  message_id: string;
  type: string;
  created_at: Date;
  payload: string;
  attempts: number;
  url: string | null;
  stream: string | null;
  /** Those that sign now: `signing_secrets` beside what the functions return. */
  secrets: string[];
}

export function toOutgoing(row: OutgoingRow): Outgoing {
  return {
    lease: row.lease,
    deliveryId: row.delivery_id,
    subscriptionId: row.subscription_id,
    customerId: row.customer_id,
    tenantId: row.tenant_id,
    message: { id: row.message_id, type: row.type, createdAt: row.created_at, payload: row.payload },
    attempts: row.attempts,
    destination: { url: row.url, stream: row.stream, secrets: row.secrets },
  };
}

/** The message as it goes over the wire. */
export function messageBody({ type, createdAt, payload }: Message): string {
  return `{"type":${JSON.stringify(type)},"timestamp":"${createdAt.toISOString()}","data":${payload}}`;
}
