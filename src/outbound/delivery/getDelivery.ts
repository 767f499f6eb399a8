import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import {
  type Attempt,
  type DeliveryRow,
  type DeliveryView,
  deliveryColumns,
  toDelivery,
} from './deliveries.ts';
import { messageBody } from './relay/outgoing.ts';

/** A delivery with what was sent and what was answered. */
export interface DeliveryDetails extends Omit<DeliveryView, 'attemptLog'> {
  /** As it goes over the wire. */
  message: string;
  /** With the beginning of each answer. */
  attemptLog: (Attempt & { response: string | null })[];
}

/** As many as are kept. */
const ATTEMPTS_SHOWN = 50;

/** @throws {TidemarkError} `not_found`. */
export async function getDelivery(
  db: Queryable,
  tenantId: string,
  subscriptionId: string,
  deliveryId: string,
): Promise<DeliveryDetails> {
  const { rows } = await db.query<
    DeliveryRow & { payload: string; digest: string | null; message_created_at: Date }
  >(
    `select ${deliveryColumns(ATTEMPTS_SHOWN, `, 'response', a.response`)},
       o.payload::text as payload, o.created_at as message_created_at
     from delivery d join outbox o on o.id = d.outbox_id
     where d.tenant_id = $1 and d.subscription_id = $2 and d.id = $3`,
    [tenantId, subscriptionId, deliveryId],
  );
  const row = rows[0];
  if (!row) throw new TidemarkError('not_found', 'there is no such delivery');
  const { payload, digest, message_created_at: createdAt } = row;
  return {
    ...(toDelivery(row) as DeliveryDetails),
    message: messageBody({ id: row.message_id, type: row.type, createdAt, payload, digest }),
  };
}
