import { instant } from '../../ground/db/sqlParameters.ts';
import { WINDOW_MS } from '../../model/window.ts';
import type { AsOf } from './asOf.ts';

/** Of events, wherever they are. */
const COLUMNS = [
  ...[
    'tenant_id',
    'ts',
    'event_id',
    'customer_id',
    'event_type',
    'endpoint',
    'model',
    'source_id',
    'reference',
  ],
  ...[
    'unit',
    'value',
    'tokens',
    'input_tokens',
    'output_tokens',
    'latency_ms',
    'metadata',
    'external_id',
    'received_at',
  ],
].join(', ');

/** The moment for SQL. */
export function momentOf({ micros }: Pick<AsOf, 'micros'>): string {
  return instant(micros / 1_000);
}

/**
 * The versions of events that corrections have moved since a moment, as SQL: `event_id`, `version`, and whether it `came` by the
 * first move after the moment. What it was at the moment is the opposite.
 *
 * @param tenant SQL.
 * @param range [from, to) in ms: where the versions lie.
 */
export function movedSince(asOf: AsOf, tenant: string, range: { from: number; to: number }): string {
  const from = Math.floor(range.from / WINDOW_MS) * WINDOW_MS;
  return `select distinct on (m.event_id, m.version) m.event_id, m.version, m.counts as came
       from tenant_data.correction_event m join tenant_data.correction c on c.id = m.correction_id
       where m.tenant_id = ${tenant} and m.bucket >= ${instant(from)} and m.bucket < ${instant(range.to)}
         and c.at > ${momentOf(asOf)}
       order by m.event_id, m.version, c.at`;
}

/**
 * Of what has been moved since a moment, as SQL: the ids of events that count now by a version that has come since. One that
 * has come and gone says nothing of another that is there.
 *
 * @param tenant SQL.
 * @param moved `movedSince`, or the name of it.
 */
export function cameSince(tenant: string, moved: string): string {
  return `select event_id from ${moved} as moved
         where came and not exists (
           select from tenant_data.uncounted_event u
           where u.tenant_id = ${tenant} and u.event_id = moved.event_id and u.version = moved.version)`;
}

/**
 * The events that counted at a moment, with all their columns, as an SQL `from` item without a name: of those that count now,
 * those that were received by then and have not come to count since; of those that do not, those that ceased to since.
 *
 * @param tenant SQL.
 * @param range [from, to) in ms, which `condition` keeps to.
 * @param condition on the columns of events, without a name before them; the tenant's among them.
 */
export function countedEvents(
  asOf: AsOf,
  tenant: string,
  range: { from: number; to: number },
  condition: string,
): string {
  const received = `received_at <= ${momentOf(asOf)}`;
  const moved = `(${movedSince(asOf, tenant, range)})`;
  return `(select ${COLUMNS} from tenant_data.event
       where ${condition} and ${received}
         and event_id not in (${cameSince(tenant, moved)})
     union all
     select ${COLUMNS} from tenant_data.uncounted_event
       where ${condition} and ${received}
         and (event_id, version) in (select event_id, version from ${moved} as moved where not came))`;
}
