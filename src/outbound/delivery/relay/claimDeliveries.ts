import type { DeliveryConfig } from '../../../ground/config/delivery.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { OUTGOING_COLUMNS, type Outgoing, type OutgoingRow, toOutgoing } from './outgoing.ts';

/** Takes up to `most` lanes that are due, for `leaseMs`. @returns the first delivery of each. */
export async function claimDeliveries(
  db: Queryable,
  most: number,
  config: Pick<DeliveryConfig, 'inFlightPerEndpoint' | 'leaseMs'>,
): Promise<Outgoing[]> {
  const { rows } = await db.query<OutgoingRow>(
    `select ${OUTGOING_COLUMNS}
     from claim_deliveries($1, $2, $3 * interval '1 millisecond') as d`,
    [most, config.inFlightPerEndpoint, config.leaseMs],
  );
  return rows.map(toOutgoing);
}
