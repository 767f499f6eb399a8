import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../../../ground/db/sqlstate.ts';

/**
 * Has the series that no live meter reads fed no more. Apart from the change itself, since it waits for batches: where
 * they leave no room, what is fed in vain costs time and harms nobody, until the next change or start.
 */
export async function retireUnusedSeries(db: Queryable, { tenantId }: TenantContext): Promise<void> {
  try {
    await db.query('select retire_unused_series($1)', [tenantId]);
  } catch (error) {
    if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
  }
}
