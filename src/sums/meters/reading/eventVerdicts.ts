import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import type { EventRow } from '../../listing/listEvents.ts';
import { DEFINITION_COLUMNS, type DefinitionRow, toDefinition } from '../catalog/meter.ts';
import { storedEvent } from './storedEvent.ts';
import { Judge, type Verdict } from './verdict.ts';

/** What an event is to one of the tenant's meters. */
export interface MeterVerdict extends Verdict {
  slug: string;
}

/**
 * What each event is to each live meter of its type, in the order of their slugs. By the meters and the rules of now,
 * which are those of when it was written: what makes a meter's numbers does not change.
 */
export async function eventVerdicts(
  db: Queryable,
  context: TenantContext,
  rows: EventRow[],
): Promise<MeterVerdict[][]> {
  const types = [...new Set(rows.map((row) => row.event_type))];
  const meters = await db.query<DefinitionRow & { slug: string }>({
    name: 'meters of event types',
    text: `select slug, ${DEFINITION_COLUMNS} from tenant_data.meter
           where tenant_id = $1 and archived_at is null and event_type = any ($2)
           order by slug collate "C"`,
    values: [context.tenantId, types],
  });
  const judges = meters.rows.map((row) => ({ slug: row.slug, judge: new Judge(toDefinition(row)) }));
  return rows.map((row) => {
    const event = storedEvent(context.tenantId, row);
    return judges.flatMap(({ slug, judge }) => {
      const verdict = judge.judge(event);
      return verdict === null ? [] : [{ slug, ...verdict }];
    });
  });
}
