import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import {
  type CorrectionNote,
  EVENT_ROW,
  type EventRow,
  type StoredEvent,
  toEvent,
} from '../listing/listEvents.ts';
import { countedVersion } from './versionNumbers.ts';

/** What a version of an event is: it counts, it is void, or another one has taken its place. */
export type VersionState = 'counted' | 'voided' | 'superseded';

/** A version of an event. */
export interface EventVersion {
  version: number;
  state: VersionState;
  event: StoredEvent;
}

/** A correction of an event. */
export interface EventCorrection extends CorrectionNote {
  kind: 'void' | 'restore' | 'amend' | 'backfill' | 'revert';
  at: string;
}

/** An event with all its versions, the first one first, and what has been done to it. */
export interface VersionedEvent {
  eventId: string;
  state: VersionState;
  versions: EventVersion[];
  corrections: EventCorrection[];
}

/**
 * The versions of an event and its corrections.
 *
 * @param counted when the version that counts happened, as text of a timestamptz; null: none counts.
 * @returns null where there is none.
 */
export async function eventVersions(
  db: Queryable,
  context: TenantContext,
  eventId: string,
  counted: string | null,
): Promise<VersionedEvent | null> {
  const { tenantId } = context;
  const { rows: taken } = await db.query<EventRow & { state: VersionState; version: number }>(
    `select ${EVENT_ROW}, state, version from tenant_data.uncounted_event
     where tenant_id = $1 and event_id = $2 order by version`,
    [tenantId, eventId],
  );
  const versions: EventVersion[] = taken.map(({ state, version, ...row }) => ({
    version,
    state,
    event: toEvent(tenantId, row),
  }));
  if (counted !== null) {
    const { rows } = await db.query<EventRow & { version: number }>(
      `select ${EVENT_ROW}, ${countedVersion('$1', '$2', 'tenant_data.')} as version
       from tenant_data.event where tenant_id = $1 and event_id = $2 and ts = '${counted}'::timestamptz`,
      [tenantId, eventId],
    );
    for (const { version, ...row } of rows.slice(0, 1)) {
      versions.push({ version, state: 'counted', event: toEvent(tenantId, row) });
    }
    versions.sort((a, b) => a.version - b.version);
  }
  const last = settledVersion(versions);
  if (!last) return null;
  const { rows: corrections } = await db.query<{
    id: string;
    kind: EventCorrection['kind'];
    at_micros: string;
    reason: string;
    actor_kind: string;
    actor_key_id: string | null;
  }>(
    `select id, kind, (extract(epoch from at) * 1000000)::bigint as at_micros, reason, actor_kind, actor_key_id
     from tenant_data.correction
     where id in (select correction_id from tenant_data.correction_event where tenant_id = $1 and event_id = $2)
     order by at, id`,
    [tenantId, eventId],
  );
  return {
    eventId: last.event.eventId,
    state: last.state,
    versions,
    corrections: corrections.map((row) => ({
      id: row.id,
      kind: row.kind,
      at: formatTimestamp(Number(row.at_micros)),
      reason: row.reason,
      actor: { kind: row.actor_kind, keyId: row.actor_key_id },
    })),
  };
}

/** The version that counts, or is void. Later ones stay beside one that has come back. */
export function settledVersion(versions: readonly EventVersion[]): EventVersion | undefined {
  return versions.findLast(({ state }) => state !== 'superseded') ?? versions.at(-1);
}
