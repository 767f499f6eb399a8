import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { SqlParameters } from '../../ground/db/sqlParameters.ts';
import { TidemarkError } from '../../model/errors.ts';

export const DELIVERY_STATES = ['pending', 'delivered', 'dead'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** An attempt at a delivery. */
export interface Attempt {
  at: string;
  /** HTTP status; null: none came, or it is a stream. */
  status: number | null;
  error: string | null;
  durationMs: number;
}

/** A message for one subscription, and what has become of it. */
export interface DeliveryView {
  id: string;
  subscriptionId: string;
  messageId: string;
  type: string;
  customerId: string | null;
  state: DeliveryState;
  /** Since it last became pending. */
  attempts: number;
  /** Null unless it is pending. It may have to wait for those ahead of it, or for its endpoint, as well. */
  nextAttemptAt: string | null;
  lastStatus: number | null;
  lastError: string | null;
  createdAt: string;
  deliveredAt: string | null;
  /** The last ones, oldest first. */
  attemptLog: Attempt[];
}

export interface DeliveryRow {
  id: string;
  subscription_id: string;
  message_id: string;
  type: string;
  customer_id: string;
  state: DeliveryState;
  attempts: number;
  next_attempt_at: Date;
  last_status: number | null;
  last_error: string | null;
  created_at: Date;
  created_micros: string;
  settled_at: Date | null;
  attempt_log: Attempt[] | null;
}

const LIST: List = { name: 'deliveries', key: ['micros', 'uuid'] };
/** Of each delivery in a list. */
const ATTEMPTS_LISTED = 10;

/** What `toDelivery` reads, from a relation `d` that is like `delivery`. */
export function deliveryColumns(attempts: number, extra = ''): string {
  return `d.*, (extract(epoch from d.created_at) * 1000000)::bigint as created_micros, (
      select json_agg(json_build_object('at', iso8601(a.at), 'status', a.status, 'error', a.error,
                                        'durationMs', a.duration_ms${extra}) order by a.id)
      from (select * from delivery_attempt where delivery_id = d.id order by id desc limit ${attempts}) as a
    ) as attempt_log`;
}

export interface DeliveryQuery {
  state?: DeliveryState | undefined;
  type?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

/**
 * Deliveries of a subscription, newest first.
 *
 * @throws {TidemarkError} `not_found`, `cursor_invalid`.
 */
export async function listDeliveries(
  db: Queryable,
  tenantId: string,
  subscriptionId: string,
  query: DeliveryQuery,
): Promise<Page<DeliveryView>> {
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, LIST);
  const known = await db.query('select from subscription where tenant_id = $1 and id = $2', [
    tenantId,
    subscriptionId,
  ]);
  if (known.rowCount === 0) throw new TidemarkError('not_found', 'there is no such subscription');
  const parameters = new SqlParameters();
  const conditions = [
    `d.tenant_id = ${parameters.add(tenantId)}`,
    `d.subscription_id = ${parameters.add(subscriptionId)}`,
  ];
  if (query.state === 'dead')
    conditions.push(`d.state = 'dead'`); // for the index of these
  else if (query.state) conditions.push(`d.state = ${parameters.add(query.state)}`);
  if (query.type !== undefined) conditions.push(`d.type = ${parameters.add(query.type)}`);
  if (after) {
    const at = `(timestamptz 'epoch' + ${parameters.add(after[0])}::bigint * interval '1 microsecond')`;
    conditions.push(`(d.created_at, d.id) < (${at}, ${parameters.add(after[1])}::uuid)`);
  }
  const { rows } = await db.query<DeliveryRow>(
    `select ${deliveryColumns(ATTEMPTS_LISTED)}
     from delivery d
     where ${conditions.join(' and ')}
     order by d.created_at desc, d.id desc
     limit ${query.limit + 1}`,
    parameters.values,
  );
  const page = pageOf(rows, query.limit, LIST, (row) => [Number(row.created_micros), row.id]);
  return { data: page.data.map(toDelivery), nextCursor: page.nextCursor };
}

export function toDelivery(row: DeliveryRow): DeliveryView {
  return {
    id: row.id,
    subscriptionId: row.subscription_id,
    messageId: row.message_id,
    type: row.type,
    customerId: row.customer_id === '' ? null : row.customer_id,
    state: row.state,
    attempts: row.attempts,
    nextAttemptAt: row.state === 'pending' ? row.next_attempt_at.toISOString() : null,
    lastStatus: row.last_status,
    lastError: row.last_error,
    createdAt: row.created_at.toISOString(),
    deliveredAt: row.state === 'delivered' ? row.settled_at!.toISOString() : null,
    attemptLog: row.attempt_log ?? [],
  };
}
