import { randomBytes } from 'node:crypto';
import type pg from 'pg';

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
  sql: pg.Pool,
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
