import type { AsOf } from './asOf.ts';
import { momentOf } from './countedEvents.ts';

/**
 * The revisions of windows that a moment does not have, as an SQL `from` item without a name: `bucket` and `customer_id` of each.
 * One is of the moment since when its events count: of late ones, when they were received.
 *
 * @param tenant SQL.
 * @param condition on `bucket` and `customer_id`.
 */
export function laterRevisions(asOf: AsOf, tenant: string, condition: string): string {
  return `(select bucket, customer_id
       from tenant_data.window_revision r left join (select id, at as corrected_at from tenant_data.correction) c
         on c.id = r.correction_id
       where tenant_id = ${tenant} and ${condition} and coalesce(corrected_at, received_at, at) > ${momentOf(asOf)})`;
}
