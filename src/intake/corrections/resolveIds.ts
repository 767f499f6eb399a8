import type { Queryable } from '../../ground/db/queryable.ts';
import { identify, identifyAs } from '../../model/eventId.ts';
import type { Identities } from '../ingest/identities.ts';
import { claimedAt, locateEvents } from './locateEvents.ts';

/** An event by its client's id. */
export interface NamedEvent {
  clientId: string;
  tsMicros: number | null;
}

/** Which event is meant, and what is known of it. */
export interface ResolvedEvent {
  eventId: string;
  /** When its id was claimed, µs; null: it is not known, or no more. */
  claimedMicros: number | null;
  /** Several events are called so. */
  ambiguous: boolean;
}

/** What the id of an event may be made of, as it is shown: the client's own; source and id of a CloudEvent; an Idempotency-Key. */
export function candidatesOf(clientId: string): string[] {
  const { eventId, externalId } = identify(clientId);
  if (externalId === null) return [eventId];
  const space = clientId.indexOf(' ');
  return [
    eventId,
    ...(space > 0
      ? [identifyAs('cloudevents', [clientId.slice(0, space), clientId.slice(space + 1)], clientId).eventId]
      : []),
    identifyAs('increment', [clientId], clientId).eventId,
  ];
}

/**
 * Which event each id means: the one that is known of those that may be called so.
 *
 * @param keys where identities are asked for.
 * @param db where events are; with the relations of `schema`.
 */
export async function resolveIds(
  keys: Queryable,
  db: Queryable,
  identities: Identities,
  tenantId: string,
  events: readonly NamedEvent[],
  schema: '' | 'tenant_data.' = '',
): Promise<ResolvedEvent[]> {
  const candidates = events.map(({ clientId }) => candidatesOf(clientId));
  const all = candidates.flat();
  const claimed = await claimedAt(keys, identities, tenantId, all);
  const { rows } = await db.query<{ event_id: string }>(
    `select distinct event_id from ${schema}uncounted_event where tenant_id = $1 and event_id = any ($2::uuid[])`,
    [tenantId, all],
  );
  const known = new Set([...claimed.keys(), ...rows.map(({ event_id }) => event_id)]);
  const resolved: ResolvedEvent[] = [];
  for (const [i, { tsMicros }] of events.entries()) {
    const own = candidates[i]!;
    let meant = own.filter((eventId) => known.has(eventId));
    if (tsMicros !== null && own.length > 1 && meant.length !== 1) {
      const wanted = own.map((eventId) => ({ eventId, tsMicros }));
      const places = await locateEvents(db, tenantId, wanted, schema);
      if (places.size > 0) meant = [...places.keys()];
    }
    const eventId = meant[0] ?? own[0]!;
    resolved.push({ eventId, claimedMicros: claimed.get(eventId) ?? null, ambiguous: meant.length > 1 });
  }
  return resolved;
}
