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
  /** Its subscription asks for the digest of the window that it tells of, and it has none yet. */
  lacksDigest: boolean;
}

/** What is told, the same on every attempt. */
export interface Message {
  id: string;
  type: string;
  createdAt: Date;
  /** JSON as it was stored: no number of it has passed through a double. */
  payload: string;
  /** A JSON object, the members of which follow those of the payload; null: none. */
  digest?: string | null;
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
  wants_digest: boolean;
  digest: string | null;
}

/** What is read of a delivery beside what the functions return of it, `d`. */
export const OUTGOING_COLUMNS = `d.*, signing_secrets(d.subscription_id) as secrets,
  (select s.digest from subscription s where s.id = d.subscription_id) as wants_digest,
  (select own.digest from delivery own where own.id = d.delivery_id) as digest`;

/** The messages that tell of a window. */
const OF_WINDOWS = ['window.closed', 'window.revised'];

export function toOutgoing(row: OutgoingRow): Outgoing {
  return {
    lease: row.lease,
    deliveryId: row.delivery_id,
    subscriptionId: row.subscription_id,
    customerId: row.customer_id,
    tenantId: row.tenant_id,
    message: {
      id: row.message_id,
      type: row.type,
      createdAt: row.created_at,
      payload: row.payload,
      digest: row.digest,
    },
    attempts: row.attempts,
    destination: { url: row.url, stream: row.stream, secrets: row.secrets },
    lacksDigest: row.wants_digest && row.digest === null && OF_WINDOWS.includes(row.type),
  };
}

/** The message as it goes over the wire. */
export function messageBody(message: Message): string {
  const { type, createdAt } = message;
  const data = messageData(message);
  return `{"type":${JSON.stringify(type)},"timestamp":"${createdAt.toISOString()}","data":${data}}`;
}

/** What it tells, as JSON. */
export function messageData({ payload, digest }: Message): string {
  return digest ? `${payload.slice(0, -1)},${digest.slice(1)}` : payload;
}
