import type pg from 'pg';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { type CorrectionRequest, faultOf, refuse } from './correction.ts';
import type { CorrectionTools, CorrectionWork, Moved } from './correctionTransaction.ts';
import { holdChunks } from './holdChunks.ts';
import { type EventPlace, locateEvents, type WantedEvent } from './locateEvents.ts';
import { prepareMoves, putBack, putInPlace, takeOut } from './moveEvents.ts';
import { resolveIds } from './resolveIds.ts';

/** The correction of events that a call names. */
export function correctEvents(request: CorrectionRequest): CorrectionWork {
  const { kind, context, actor, reason } = request;
  return { kind, context, actor, reason, move: (client, tools, id) => move(client, tools, request, id) };
}

async function move(
  client: pg.ClientBase,
  tools: CorrectionTools,
  request: CorrectionRequest,
  id: string,
): Promise<Moved> {
  const { kind, context } = request;
  const { tenantId } = context;
  const { places, versions, restored, unknown } = await find(client, tools, request);
  const corrected = kind === 'restore' ? restored.length : places.size;
  if (corrected === 0 || request.dryRun) return { corrected, unknown, nothing: true };
  await prepareMoves(client);
  if (kind === 'restore') await putBack(client, tenantId, restored);
  else {
    const state = kind === 'void' ? 'voided' : 'superseded';
    await takeOut(client, tools.engine, tenantId, id, state, [...places.values()]);
  }
  if (kind === 'amend') await putInPlace(client, versions);
  return { corrected, unknown };
}

interface Found {
  /** The events that are to be taken out. */
  places: Map<string, EventPlace>;
  /** What takes their place. */
  versions: UsageEvent[];
  /** The ids of those that are to count again. */
  restored: string[];
  /** As the client has them. */
  unknown: string[];
}

/** @throws {TidemarkError} where one of them is void already, or is not. */
async function find(
  client: pg.ClientBase,
  { identities, engine }: CorrectionTools,
  { kind, context, events }: CorrectionRequest,
): Promise<Found> {
  const { tenantId } = context;
  const beforeReading = holdChunks(client, engine);
  const resolved = await resolveIds(client, client, identities, tenantId, events, '', beforeReading);
  const { rows } = await client.query<{ event_id: string; received_micros: string }>(
    `select event_id, (extract(epoch from received_at) * 1000000)::bigint as received_micros
     from uncounted_event
     where tenant_id = $1 and event_id = any ($2::uuid[]) and state = 'voided'
       and ts >= (select kept_from from retention where relation = 'event')`,
    [tenantId, resolved.map(({ eventId }) => eventId)],
  );
  const voided = new Map(rows.map((row) => [row.event_id, Number(row.received_micros)]));
  const wanted = events.flatMap(({ tsMicros }, i): WantedEvent[] => {
    const { eventId, claimedMicros } = resolved[i]!;
    // Past its horizon, an id that was forgotten may have been posted again since it was void.
    if (voided.has(eventId) && (claimedMicros === null || claimedMicros === voided.get(eventId))) return [];
    if (tsMicros !== null) return [{ eventId, tsMicros }];
    return claimedMicros === null ? [] : [{ eventId, receivedMicros: claimedMicros }];
  });
  const places = await locateEvents(client, tenantId, wanted, '', beforeReading);
  const named = new Set<string>();
  const faults = events.flatMap((event, i) => {
    const { eventId, ambiguous } = resolved[i]!;
    if (ambiguous) return faultOf(event, 'event_ambiguous');
    if (named.has(eventId)) return faultOf(event, 'event_repeated');
    named.add(eventId);
    const isVoid = voided.has(eventId);
    const counts = places.has(eventId);
    if (kind !== 'restore') return isVoid && !counts ? faultOf(event, 'event_voided') : [];
    if (isVoid) return counts ? faultOf(event, 'event_counted_again') : [];
    return counts ? faultOf(event, 'event_not_voided') : [];
  });
  if (faults.length > 0) {
    await client.query('rollback');
    refuse(faults);
  }
  const known = (i: number) => (kind === 'restore' ? voided : places).has(resolved[i]!.eventId);
  return {
    places: kind === 'restore' ? new Map() : places,
    versions: events.flatMap(({ version }, i) =>
      version && known(i) ? { ...version, eventId: resolved[i]!.eventId } : [],
    ),
    restored: kind === 'restore' ? [...voided.keys()] : [],
    unknown: events.filter((_, i) => !known(i)).map(({ clientId }) => clientId),
  };
}
