import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';
import { TidemarkError } from '../../model/errors.ts';
import { eventVersions, type VersionedEvent } from '../../sums/corrections/eventVersions.ts';
import type { Identities } from '../ingest/identities.ts';
import { locateEvents } from './locateEvents.ts';
import { type NamedEvent, resolveIds } from './resolveIds.ts';

/**
 * An event by its client's id, with all its versions.
 *
 * @param keys where identities are asked for, which tenants cannot read.
 * @throws {TidemarkError} `not_found`; `event_ambiguous`.
 */
export function findEvent(
  keys: Queryable,
  reads: TenantReads,
  identities: Identities,
  context: TenantContext,
  named: NamedEvent,
): Promise<VersionedEvent> {
  const { tenantId } = context;
  return reads.inOneMoment(context, async (db) => {
    const [resolved] = await resolveIds(keys, db, identities, tenantId, [named], 'tenant_data.');
    const { eventId, claimedMicros, ambiguous } = resolved!;
    if (ambiguous) {
      throw new TidemarkError(
        'event_ambiguous',
        'several events of different formats are called so; tell the timestamp of the one that is meant',
      );
    }
    const wanted =
      named.tsMicros !== null
        ? [{ eventId, tsMicros: named.tsMicros }]
        : claimedMicros !== null
          ? [{ eventId, receivedMicros: claimedMicros }]
          : [];
    const found = await locateEvents(db, tenantId, wanted, 'tenant_data.');
    const event = await eventVersions(db, context, eventId, found.get(eventId)?.ts ?? null);
    if (!event) throw new TidemarkError('not_found', 'there is no such event');
    return event;
  });
}
