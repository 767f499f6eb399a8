import { COMMAND, writeEntries } from '../../../access/tenancy/auditLog.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';

/** The receiver wants no more: the subscription is not active from now on. */
export async function disableEndpoint(db: Queryable, subscriptionId: string, reason: string): Promise<void> {
  await db.query(
    `with changed as (
       update subscription set active = false, disabled_at = now(), disabled_reason = $2, updated_at = now()
       where id = $1 and active
       returning id, tenant_id, disabled_reason
     ), logged as (${writeEntries({
       from: 'changed',
       action: 'subscription.disabled',
       before: `jsonb_build_object('active', true)`,
       after: `jsonb_build_object('active', false, 'disabledReason', disabled_reason)`,
       actor: '$3',
     })})
     select from changed`,
    [subscriptionId, reason, JSON.stringify(COMMAND)],
  );
}
