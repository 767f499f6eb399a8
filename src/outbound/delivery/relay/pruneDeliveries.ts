import type { DeliveryConfig } from '../../../ground/config/delivery.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';

const BATCH = 2_000;

/**
 * Removes deliveries that were settled long ago, then messages that no delivery refers to.
 *
 * @returns whether there may be more.
 */
export async function pruneDeliveries(
  db: Queryable,
  config: Pick<DeliveryConfig, 'deliveredRetentionMs' | 'deadRetentionMs'>,
): Promise<boolean> {
  const settledBefore = (parameter: number) =>
    `settled_at < now() - $${parameter}::bigint * interval '1 millisecond'`;
  const deliveries = await db.query(
    `delete from delivery where id = any (array(
       (select id from delivery where state = 'delivered' and ${settledBefore(1)} limit ${BATCH} for update skip locked)
     ) || array(
       (select id from delivery where state = 'dead' and ${settledBefore(2)} limit ${BATCH} for update skip locked)
     ))`,
    [config.deliveredRetentionMs, config.deadRetentionMs],
  );
  // Those that nobody wanted are kept as long as delivered ones: what is younger need not be looked through.
  const messages = await db.query(
    `delete from outbox where id = any (array(
       select o.id from outbox o
       where o.fanned_out_at < now() - $1::bigint * interval '1 millisecond'
         and not exists (select from delivery d where d.outbox_id = o.id)
       order by o.fanned_out_at limit ${BATCH} for update skip locked
     ))`,
    [config.deliveredRetentionMs],
  );
  return (deliveries.rowCount ?? 0) >= BATCH || (messages.rowCount ?? 0) >= BATCH;
}
