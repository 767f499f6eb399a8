import type { Queryable } from '../../ground/db/queryable.ts';
import { errorCode, LOCK_NOT_AVAILABLE, remedyFor } from '../../ground/db/sqlstate.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { arraysOf, EVENTS_OF_ARRAYS } from '../corrections/eventArrays.ts';
import { EVENT_COLUMNS } from '../ingest/copyEncoding.ts';
import { refused } from '../ingest/writeFailures.ts';
import { type BackfillScope, MAX_BACKFILL_EVENTS, requireState } from './backfill.ts';

/** The backfill has as many as it may have. */
const CHECK_VIOLATION = '23514';

/** What became of events that were posted to a backfill. */
export interface Staged {
  /** The ids of those that are in it now and were not before. */
  ids: Set<string>;
  staged: number;
  /** In it already, or twice among these: the first one stays. */
  duplicates: number;
}

/**
 * Stores events that do not count yet, all or none. The row of the backfill is locked meanwhile, so none comes while it is closed,
 * nor after.
 *
 * @param waitMs how long it may wait for others, above all for a closing. 0: until they are done.
 * @throws {TidemarkError} `not_found`, `backfill_not_staged`, `limit_reached`, `event_rejected_by_database`; `overloaded` where it
 * has waited for too long.
 */
export async function stageEvents(
  db: Queryable,
  tenantId: string,
  backfillId: string,
  events: readonly UsageEvent[],
  waitMs = 0,
): Promise<Staged> {
  const columns = EVENT_COLUMNS.join(', ');
  try {
    const { rows } = await db.query<{ state: 'staged' | 'closed'; ids: string[] }>(
      `with patience as materialized (
         -- Foreign keys are checked row by row: not planned anew for each, which takes milliseconds.
         select set_config('lock_timeout', $20, true), set_config('plan_cache_mode', 'auto', true)
       ), target as (
         select id, state from backfill, patience where id = $18 and tenant_id = $19 for update of backfill
       ), stored as (
         insert into staged_event (${columns}, received_at, backfill_id)
         select ${EVENT_COLUMNS.map((name) => `e.${name}`).join(', ')}, now(), target.id
         from ${EVENTS_OF_ARRAYS} as e (${columns}), target
         where target.state = 'staged'
         on conflict do nothing
         returning event_id
       ), counted as (
         update backfill b set events = b.events + (select count(*) from stored), updated_at = now()
         from target where b.id = target.id and target.state = 'staged'
       )
       select state, array(select event_id::text from stored) as ids from target`,
      [...arraysOf(events), backfillId, tenantId, String(waitMs)],
    );
    requireState(rows[0], 'staged');
    const ids = new Set(rows[0]!.ids);
    return { ids, staged: ids.size, duplicates: events.length - ids.size };
  } catch (error) {
    if (errorCode(error) === CHECK_VIOLATION) {
      throw new TidemarkError(
        'limit_reached',
        `a backfill may have at most ${MAX_BACKFILL_EVENTS} events: close it, and make another one`,
      );
    }
    if (errorCode(error) === LOCK_NOT_AVAILABLE) throw beingClosed();
    if (remedyFor(error) === 'reject') throw refused(error, null);
    throw error;
  }
}

/** Others have held the backfill for longer than one may wait for them. */
export function beingClosed(): TidemarkError {
  return new TidemarkError('overloaded', 'the backfill is being closed, or posted to; try again later', {
    retryAfterSeconds: 5,
  });
}

/** What of an event says that it is not one of the backfill's. */
export interface OutsideFault extends Pick<EventFault, 'code' | 'message'> {
  of: 'timestamp' | 'customer';
}

/** Why an event is not one of those that a backfill is about. */
export function outsideScope(event: UsageEvent, scope: BackfillScope): OutsideFault[] {
  const faults: OutsideFault[] = [];
  const { fromMicros, toMicros, customers } = scope;
  if (event.tsMicros < fromMicros || event.tsMicros >= toMicros) {
    const range = `[${formatTimestamp(fromMicros)}, ${formatTimestamp(toMicros)})`;
    faults.push({
      of: 'timestamp',
      code: 'timestamp_outside_backfill',
      message: `is outside the range of the backfill: ${range}`,
    });
  }
  if (customers !== null && !customers.includes(event.customerId)) {
    faults.push({
      of: 'customer',
      code: 'customer_outside_backfill',
      message: 'is not one of the customers of the backfill',
    });
  }
  return faults;
}
