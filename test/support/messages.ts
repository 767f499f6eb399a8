import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Queryable } from '../../src/ground/db/queryable.ts';
import { until } from './service.ts';

/** Configuration that reaches receivers on this machine, and does not wait. */
export const FAST_DELIVERY = { RELAY_INTERVAL_MS: '50', WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8' };

export const newSecret = () => `whsec_${randomBytes(24).toString('base64')}`;

export interface NewSubscription {
  url?: string;
  stream?: string;
  types?: string[];
  customers?: string[] | null;
  secret?: string;
}

/** Makes a subscription past the API. @returns its id. */
export async function subscribe(
  sql: pg.Pool,
  tenantId: string,
  { url, stream, types = ['usage.threshold'], customers = null, secret = newSecret() }: NewSubscription,
): Promise<string> {
  const { rows } = await sql.query<{ id: string }>(
    `insert into subscription (tenant_id, message_types, url, stream, customers, secret)
     values ($1, $2, $3, $4, $5, $6) returning id`,
    [tenantId, types, url ?? null, stream ?? null, customers, url === undefined ? null : secret],
  );
  return rows[0]!.id;
}

/** Writes messages, in one transaction. @returns their ids, in order. */
export async function writeMessages(
  sql: Queryable,
  tenantId: string,
  messages: { type?: string; customerId?: string | null; payload?: unknown }[],
): Promise<string[]> {
  const { rows } = await sql.query<{ message_id: string }>(
    `insert into outbox (type, tenant_id, customer_id, payload)
     select coalesce(m ->> 'type', 'usage.threshold'), $1, m ->> 'customerId', coalesce(m -> 'payload', '{}')
     from jsonb_array_elements($2::jsonb) with ordinality as all_of (m, n) order by n
     returning message_id`,
    [tenantId, JSON.stringify(messages)],
  );
  return rows.map(({ message_id }) => message_id);
}

/** What messages of a type say that were written for a tenant, in order. */
// biome-ignore lint/suspicious/noExplicitAny: as written
export async function messagesOf(sql: pg.Pool, tenantId: string, type: string): Promise<any[]> {
  const { rows } = await sql.query(
    'select payload from outbox where tenant_id = $1 and type = $2 order by id',
    [tenantId, type],
  );
  return rows.map(({ payload }) => payload);
}

/** A delivery that is dead, and nothing will be sent. @returns its id. */
export async function deadDelivery(
  sql: pg.Pool,
  tenantId: string,
  subscriptionId: string,
  message: { type?: string; customerId?: string } = {},
): Promise<string> {
  const { type = 'usage.threshold', customerId = 'customer-1' } = message;
  const { rows } = await sql.query<{ id: string }>(
    `with message as (
       insert into outbox (type, tenant_id, customer_id, payload, fanned_out_at) values ($3, $1, $4, '{}', now())
       returning *
     ), made as (
       insert into delivery (subscription_id, outbox_id, message_id, type, tenant_id, customer_id, state, attempts,
                             last_error, settled_at)
       select $2, id, message_id, type, tenant_id, customer_id, 'dead', 1, 'answered 500', now() from message
       returning id
     ), tried as (
       insert into delivery_attempt (delivery_id, status, error, response, duration_ms)
       select id, 500, 'answered 500', 'no', 5 from made
     )
     select id from made`,
    [tenantId, subscriptionId, type, customerId],
  );
  return rows[0]!.id;
}

/** Deliveries to a subscription, as they are stored, in the order of their messages. */
export async function deliveriesTo(sql: pg.Pool, subscriptionId: string) {
  const { rows } = await sql.query('select * from delivery where subscription_id = $1 order by outbox_id', [
    subscriptionId,
  ]);
  return rows;
}

/** Waits until a subscription has so many deliveries, and all are delivered or dead. */
export function allSettled(
  sql: pg.Pool,
  subscriptionId: string,
  n: number,
  withinMs?: number,
): Promise<void> {
  return until(async () => {
    const rows = await deliveriesTo(sql, subscriptionId);
    return rows.length === n && rows.every(({ state }) => state !== 'pending');
  }, withinMs);
}
