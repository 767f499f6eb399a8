import { type Actor, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';

/** Deliveries that one call makes pending at most. */
export const MAX_REDELIVERED = 1_000;

/**
 * Has a delivery sent again, whatever has become of it before; one that waits for its next attempt is tried now.
 *
 * @throws {TidemarkError} `not_found`, `subscription_inactive`.
 */
export async function redeliver(
  db: Queryable,
  tenantId: string,
  subscriptionId: string,
  deliveryId: string,
  actor: Actor,
): Promise<void> {
  await requireActive(db, tenantId, subscriptionId);
  const { rowCount } = await db.query(
    `with changed as materialized (
       select id, before from redeliver($1, $2, array[$3::uuid], 1)
     ), logged as (${writeEntries({
       from: 'changed',
       action: 'delivery.redelivered',
       tenantId: '$1',
       before: `jsonb_build_object('state', before)`,
       after: `jsonb_build_object('state', 'pending')`,
       actor: '$4',
     })})
     select from changed`,
    [tenantId, subscriptionId, deliveryId, JSON.stringify(actor)],
  );
  if (rowCount === 0) throw new TidemarkError('not_found', 'there is no such delivery');
}

/**
 * Has what is dead sent again, oldest first.
 *
 * @returns how many there were, at most `MAX_REDELIVERED`.
 * @throws {TidemarkError} `not_found`, `subscription_inactive`.
 */
export async function redeliverDead(
  db: Queryable,
  tenantId: string,
  subscriptionId: string,
  actor: Actor,
): Promise<number> {
  await requireActive(db, tenantId, subscriptionId);
  const { rows } = await db.query<{ n: number }>(
    `with changed as materialized (
       select count(*)::int as n from redeliver($1, $2, null, ${MAX_REDELIVERED})
     ), logged as (${writeEntries({
       from: '(select n from changed where n > 0) as done',
       action: 'subscription.redelivered',
       tenantId: '$1',
       target: '$2::text',
       after: `jsonb_build_object('deliveries', n)`,
       actor: '$3',
     })})
     select n from changed`,
    [tenantId, subscriptionId, JSON.stringify(actor)],
  );
  return rows[0]!.n;
}

async function requireActive(db: Queryable, tenantId: string, subscriptionId: string): Promise<void> {
  const { rows } = await db.query<{ active: boolean }>(
    'select active from subscription where tenant_id = $1 and id = $2',
    [tenantId, subscriptionId],
  );
  if (!rows[0]) throw new TidemarkError('not_found', 'there is no such subscription');
  if (!rows[0].active) {
    throw new TidemarkError('subscription_inactive', 'the subscription is not active: nothing would be sent');
  }
}
