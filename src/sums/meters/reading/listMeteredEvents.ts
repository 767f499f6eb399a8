import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Page } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { type EventQuery, listEventRows, type StoredEvent, toListedEvent } from '../../listing/listEvents.ts';
import { eventVerdicts, type MeterVerdict } from './eventVerdicts.ts';

/** An event, and what it is to each meter of its type. */
export interface MeteredEvent extends StoredEvent {
  meters: MeterVerdict[];
}

/** Raw events, newest first, each with what it is to the meters of its type. @throws as `listEvents`. */
export async function listMeteredEvents(
  db: Queryable,
  context: TenantContext,
  query: EventQuery,
): Promise<Page<MeteredEvent>> {
  const { data, nextCursor } = await listEventRows(db, context, query);
  const verdicts = await eventVerdicts(db, context, data);
  return {
    data: data.map((row, i) => ({
      ...toListedEvent(context.tenantId, row),
      meters: row.correction_id === null ? verdicts[i]! : [], // no meter has what is void
    })),
    nextCursor,
  };
}
