import type { Queryable } from '../../ground/db/queryable.ts';
import { identify, identifyAs } from '../../model/eventId.ts';
import type { Identities } from '../ingest/identities.ts';
import { type BeforeReading, claimedAt, listedAt, locateEvents } from './locateEvents.ts';

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

/**
 * What the id of an event may be made of, as it is shown: the client's own; source and id of a CloudEvent; an Idempotency-Key,
 * which may be a UUID, too.
 */
export function candidatesOf(clientId: string): string[] {
  const { eventId, externalId } = identify(clientId);
  const increment = identifyAs('increment', [clientId], clientId).eventId;
  if (externalId === null) return [eventId, increment];
  const space = clientId.indexOf(' ');
  return [
    eventId,
    ...(space > 0
      ? [identifyAs('cloudevents', [clientId.slice(0, space), clientId.slice(space + 1)], clientId).eventId]
      : []),
    increment,
  ];
}

/**
 * Which event each id means: the one that is known of those that may be called so.
 *
 * @param keys where identities are asked for.
 * @param db where events are; with the relations of `schema`.
 * @param beforeReading told of where events are read.
 */
export async function resolveIds(
  keys: Queryable,
  db: Queryable,
  identities: Identities,
  tenantId: string,
  events: readonly NamedEvent[],
  schema: '' | 'tenant_data.' = '',
  beforeReading?: BeforeReading,
): Promise<ResolvedEvent[]> {
  const candidates = events.map(({ clientId }) => candidatesOf(clientId));
  const all = candidates.flat();
  const claimed = await claimedAt(keys, identities, tenantId, all);
  const { rows } = await db.query<{ event_id: string }>(
    `select distinct event_id from ${schema}uncounted_event where tenant_id = $1 and event_id = any ($2::uuid[])`,
    [tenantId, all],
  );
  const known = new Set([...claimed.keys(), ...rows.map(({ event_id }) => event_id)]);
  const meant = candidates.map((own) => own.filter((eventId) => known.has(eventId)));
  for (const [i, ids] of await byTheirTime(db, tenantId, events, candidates, meant, schema, beforeReading))
    meant[i] = ids;
  const found = meant.flat().filter((eventId) => !known.has(eventId));
  for (const [eventId, micros] of await claimedAt(keys, identities, tenantId, found)) {
    claimed.set(eventId, micros);
  }
  return meant.map((ids, i) => {
    const eventId = ids[0] ?? candidates[i]![0]!;
    return { eventId, claimedMicros: claimed.get(eventId) ?? null, ambiguous: ids.length > 1 };
  });
}

/**
 * Of events whose time is told, and of which not just one is known: those that are there at that time, by the place of the event. A
 * UUID may be made of more than what is shown of it (Lago's events): they are found by what is shown.
 */
async function byTheirTime(
  db: Queryable,
  tenantId: string,
  events: readonly NamedEvent[],
  candidates: readonly string[][],
  known: readonly string[][],
  schema: '' | 'tenant_data.',
  beforeReading: BeforeReading | undefined,
): Promise<Map<number, string[]>> {
  const unsure = events.flatMap(({ clientId, tsMicros }, i) =>
    tsMicros !== null && known[i]!.length !== 1 ? [{ i, clientId, tsMicros }] : [],
  );
  const wanted = unsure.flatMap(({ i, tsMicros }) =>
    candidates[i]!.map((eventId) => ({ eventId, tsMicros })),
  );
  const places = await locateEvents(db, tenantId, wanted, schema, beforeReading);
  const found = new Map<number, string[]>();
  for (const { i, tsMicros } of unsure) {
    const there = candidates[i]!.filter((eventId) => places.get(eventId)?.tsMicros === tsMicros);
    if (there.length > 0) found.set(i, there);
  }
  const shown = unsure.filter(({ i }) => !found.has(i));
  for (const [n, ids] of (await listedAt(db, tenantId, shown, schema, beforeReading)).entries()) {
    if (ids.length > 0) found.set(shown[n]!.i, ids);
  }
  return found;
}
