import type { DeliveryConfig } from '../../../ground/config/delivery.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';

const BATCH = 1_000;

/**
 * Declares deliveries dead that have been pending for too long, whatever held them up: a subscription that is disabled,
 * an endpoint that is left alone; and those of a subscription that has been deleted.
 *
 * @returns whether there may be more.
 */
export async function giveUpOld(db: Queryable, config: Pick<DeliveryConfig, 'pendingMs'>): Promise<boolean> {
  const { rowCount } = await db.query(
    `with old as (
       (select d.id, 'not delivered within ' || $1::bigint / 86400000 || ' days' as reason
        from delivery d
        where d.state = 'pending' and d.pending_since < now() - $1::bigint * interval '1 millisecond'
        limit ${BATCH})
       union all
       (select d.id, 'the subscription was deleted'
        from subscription s join delivery d on d.subscription_id = s.id and d.state = 'pending'
        where s.deleted_at is not null
        limit ${BATCH})
     )
     update delivery d set state = 'dead', settled_at = now(), last_error = left(old.reason || coalesce(': ' || d.last_error, ''), 1000)
     from old where d.id = old.id and d.state = 'pending'`,
    [config.pendingMs],
  );
  return (rowCount ?? 0) >= BATCH;
}
