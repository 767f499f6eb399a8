import type { Queryable } from '../../ground/db/queryable.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { claimedAt } from '../corrections/locateEvents.ts';
import type { Identities } from '../ingest/identities.ts';
import { type BackfillScope, inScope } from './backfill.ts';

/** Ids that are read, and asked for, at a time. */
const IDS_PER_STEP = 20_000;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** The ids of a backfill that are known: counted before, or void. */
export interface KnownIds {
  ids: string[];
  /** When each was claimed, as a timestamp. */
  claimed: string[];
}

/**
 * Which events of a backfill have ids that are known, and which are new.
 *
 * @param keys where identities are asked for.
 * @param schema '' or 'tenant_data.': of the relations that are read from `db`.
 */
export async function knownIds(
  keys: Queryable,
  db: Queryable,
  identities: Identities,
  tenantId: string,
  backfillId: string,
  schema: '' | 'tenant_data.',
): Promise<{ known: KnownIds; fresh: string[] }> {
  const known: KnownIds = { ids: [], claimed: [] };
  const fresh: string[] = [];
  for (let after: string | null = null; ; ) {
    const { rows }: { rows: { event_id: string }[] } = await db.query<{ event_id: string }>(
      `select event_id from ${schema}staged_event
       where backfill_id = $1 and tenant_id = $2 and (event_id > $3::uuid or $4)
       order by event_id limit ${IDS_PER_STEP}`,
      [backfillId, tenantId, after ?? FIRST_ID, after === null],
    );
    const ids = rows.map(({ event_id }) => event_id);
    const claimed = await claimedAt(keys, identities, tenantId, ids);
    for (const id of ids) {
      const at = claimed.get(id);
      if (at === undefined) fresh.push(id);
      else {
        known.ids.push(id);
        known.claimed.push(formatTimestamp(at));
      }
    }
    if (ids.length < IDS_PER_STEP) return { known, fresh };
    after = ids.at(-1)!;
  }
}

/**
 * The staged events that will count, as SQL: those whose ids are new; with `replaces` those that take the place of one that is
 * there; and those of events that are void, where it was the revert of a backfill that made them so, or the backfill takes
 * the place of what they were. `known_since` is when the id of one that is known was received, `revived` the version that is void.
 *
 * Reads the relation `known_id (event_id, claimed_at)`. Parameters: $1 the tenant, $2 the backfill, $3 the customers.
 */
export function comingEvents(scope: BackfillScope, replaces: boolean, schema: '' | 'tenant_data.'): string {
  const minute = (at: string) => `date_bin('1 minute', ${at}, 'epoch'::timestamptz)`;
  return `
    select s.*, coalesce(o.received_at, r.received_at) as known_since, r.version as revived
    from ${schema}staged_event s
    left join known_id k on k.event_id = s.event_id
    left join (
      select e.event_id, max(e.received_at) as received_at from ${schema}event e
      where ${inScope('e', scope, '$1', '$3')} and ${replaces} and e.event_id in (select event_id from known_id)
      group by e.event_id
    ) as o on o.event_id = s.event_id
    left join (
      select distinct on (u.event_id) u.event_id, u.version, u.received_at
      from known_id n
      join ${schema}uncounted_event u on u.tenant_id = $1 and u.event_id = n.event_id and u.state = 'voided'
      join ${schema}correction c on c.id = u.correction_id
      where u.received_at <= n.claimed_at and ${minute('u.received_at')} = ${minute('n.claimed_at')}
        and (c.kind = 'revert' or ${replaces} and ${inScope('u', scope, '$1', '$3')})
      order by u.event_id, u.version desc
    ) as r on r.event_id = s.event_id
    where s.backfill_id = $2 and s.tenant_id = $1
      and (k.event_id is null or o.event_id is not null or r.event_id is not null)`;
}
