import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { PRICE_COLUMNS, type Price, type PriceRow, toPrice } from './price.ts';

/** Prices of the tenant by their ids, superseded ones too, in no order. */
export async function pricesOf(
  db: Queryable,
  { tenantId }: TenantContext,
  ids: readonly string[],
): Promise<Price[]> {
  const { rows } = await db.query<PriceRow>(
    `select ${PRICE_COLUMNS} from price where tenant_id = $1 and id = any ($2::uuid[])`,
    [tenantId, ids],
  );
  return rows.map(toPrice);
}
