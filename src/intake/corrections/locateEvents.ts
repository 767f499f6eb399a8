import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import type { Identities } from '../ingest/identities.ts';
import { IdentityClaims, KEY_COLUMNS } from '../ingest/identityClaims.ts';

/** An event that is to be found: by when it happened, or by when its id was claimed (`claimedAt`), which is that of the row. */
export type WantedEvent = { eventId: string } & (
  | { tsMicros: number; receivedMicros?: undefined }
  | { tsMicros?: undefined; receivedMicros: number }
);

/** Told of a stretch of time, in ms since the epoch, before events in it are read. */
export type BeforeReading = (from: number, to: number) => Promise<void>;

/** Where an event that counts is. */
export interface EventPlace {
  eventId: string;
  customerId: string;
  /** Text of a timestamptz, to the microsecond. */
  ts: string;
  tsMicros: number;
}

/** How far (ms) around the moment that its id was claimed an event is looked for, one after the other; then everywhere. */
const REACHES_MS = [10_000, 600_000, 86_400_000, 40 * 86_400_000];
/** What is ahead of the clock, ms, at most (ACCEPT_AHEAD_SECONDS). */
const AHEAD_MS = 86_400_000;
const MINUTE_MICROS = 60_000_000;
/** Stretches of time looked through one by one; of more, neighbours are taken together. */
const MOST_STRETCHES = 100;

interface Stretch {
  /** [from, to] in ms. */
  from: number;
  to: number;
}

/**
 * Finds events that count. There is no index by id: where the time is not told, they are looked for around the moment that their id
 * was claimed, which is when the row was received, in stretches that grow. Those whose id is not known any more are found by
 * their time only.
 *
 * @param schema '' or 'tenant_data.': of the relations that are read.
 * @param beforeReading told of each stretch.
 * @returns those that are there and kept, by their ids.
 */
export async function locateEvents(
  db: Queryable,
  tenantId: string,
  wanted: readonly WantedEvent[],
  schema: '' | 'tenant_data.' = '',
  beforeReading?: BeforeReading,
): Promise<Map<string, EventPlace>> {
  const found = new Map<string, EventPlace>();
  if (wanted.length === 0) return found;
  const place = { tenantId, schema, kept: await keptFrom(db, schema), beforeReading };
  const told = wanted.filter(({ tsMicros }) => tsMicros !== undefined);
  await search(
    db,
    place,
    told,
    told.map(({ tsMicros }) => stretchAround(tsMicros! / 1_000, 0)),
    found,
  );
  let missing = wanted.filter(({ tsMicros }) => tsMicros === undefined);
  for (const reach of [...REACHES_MS, Number.POSITIVE_INFINITY]) {
    if (missing.length === 0) break;
    const around = missing.map(({ receivedMicros }) => stretchAround(receivedMicros! / 1_000, reach));
    await search(db, place, missing, around, found);
    missing = missing.filter(({ eventId }) => !found.has(eventId));
  }
  return found;
}

function stretchAround(ms: number, reachMs: number): Stretch {
  // Whoever's clock was wrong when it was stored: the last search leaves nothing out.
  const ahead = Number.isFinite(reachMs) ? Math.min(reachMs, AHEAD_MS) : reachMs;
  return { from: Math.floor(ms) - reachMs, to: Math.floor(ms) + 1 + ahead };
}

/** @returns how far back (ms) single events are kept, or -Infinity. */
async function keptFrom(db: Queryable, schema: string): Promise<number> {
  const { rows } = await db.query<{ ms: string }>(
    `select extract(epoch from kept_from) * 1000 as ms from ${schema}retention where relation = 'event'`,
  );
  return Number(rows[0]?.ms ?? Number.NEGATIVE_INFINITY);
}

/** When ids were claimed, µs, by id; those that are not known are left out. */
export async function claimedAt(
  db: Queryable,
  identities: Identities,
  tenantId: string,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const claimed = new Map<string, number>();
  if (ids.length === 0) return claimed;
  const { keys, moved } = await identities.current(db);
  const events = ids.map((eventId) => ({ tenantId, eventId }));
  const { keys: texts, places, slots } = new IdentityClaims(events, keys).inOrder();
  const idOf = new Map(texts.map((key, i) => [key, ids[places[i]!]!]));
  const ofSlot = KEY_COLUMNS.map((_, slot) => texts.filter((_key, i) => slots[i] === slot));
  const micros = '(extract(epoch from received_at) * 1000000)::bigint as micros';
  if (!moved) {
    // Asked first: what is not there any more by then is among the keys.
    const old = await db.query<{ event_id: string; micros: string }>(
      `select event_id, ${micros} from event_identity where tenant_id = $1 and event_id = any ($2::uuid[])`,
      [tenantId, ids],
    );
    for (const row of old.rows) claimed.set(row.event_id, Number(row.micros));
  }
  const { rows } = await db.query<{ key: string; micros: string }>(
    KEY_COLUMNS.map(
      (column, slot) =>
        `select ${column} as key, ${micros} from event_key where ${column} = any ($${slot + 1}::uuid[])`,
    ).join(' union all '),
    ofSlot,
  );
  for (const row of rows) claimed.set(idOf.get(row.key)!, Number(row.micros));
  return claimed;
}

/**
 * Whether an event that was received at one moment (µs) is the one whose id was claimed at another: at the same, or, of ids that
 * were counted before there were keys, in the same minute (`move_identities`). Past its horizon an id may be claimed again.
 */
export function isOfClaim(receivedMicros: number, claimedMicros: number): boolean {
  const minute = (micros: number) => Math.floor(micros / MINUTE_MICROS);
  return receivedMicros <= claimedMicros && minute(receivedMicros) === minute(claimedMicros);
}

/**
 * Events by what they are listed as and when they happened (µs), counted or void: also those whose UUID is made of more
 * than what they are listed as.
 *
 * @returns the ids of those that are there and kept, for each that is wanted.
 */
export async function listedAt(
  db: Queryable,
  tenantId: string,
  wanted: readonly { clientId: string; tsMicros: number }[],
  schema: '' | 'tenant_data.' = '',
  beforeReading?: BeforeReading,
): Promise<string[][]> {
  const found = wanted.map((): string[] => []);
  if (wanted.length === 0) return found;
  const kept = await keptFrom(db, schema);
  const places = new Map<string, number[]>();
  for (const [place, { clientId, tsMicros }] of wanted.entries()) {
    const key = `${tsMicros} ${clientId}`;
    places.set(key, [...(places.get(key) ?? []), place]);
  }
  for (const { from, to } of joined(wanted.map(({ tsMicros }) => stretchAround(tsMicros / 1_000, 0)))) {
    if (to < kept) continue;
    await beforeReading?.(Math.max(from, kept), to);
    const inReach = `tenant_id = $1 and external_id = any ($2::text[])
      and ts >= ${instant(Math.max(from, kept))} and ts <= ${instant(to)}`;
    const { rows } = await db.query<Record<'event_id' | 'external_id' | 'ts_micros', string>>(
      `select event_id, external_id, (extract(epoch from ts) * 1000000)::bigint as ts_micros
       from (select event_id, external_id, ts from ${schema}event where ${inReach}
             union
             select event_id, external_id, ts from ${schema}uncounted_event where ${inReach} and state = 'voided') as listed`,
      [
        tenantId,
        wanted
          .filter(({ tsMicros }) => tsMicros >= from * 1_000 && tsMicros <= to * 1_000)
          .map(({ clientId }) => clientId),
      ],
    );
    for (const { event_id, external_id, ts_micros } of rows) {
      for (const place of places.get(`${ts_micros} ${external_id}`) ?? []) found[place]!.push(event_id);
    }
  }
  return found;
}

interface SearchedPlace {
  tenantId: string;
  schema: string;
  kept: number;
  beforeReading: BeforeReading | undefined;
}

/** Looks through stretches of time, and adds what is found. */
async function search(
  db: Queryable,
  { tenantId, schema, kept, beforeReading }: SearchedPlace,
  events: readonly WantedEvent[],
  around: readonly Stretch[],
  found: Map<string, EventPlace>,
): Promise<void> {
  const wanted = new Map(events.map((event) => [event.eventId, event]));
  for (const { from, to } of joined(around)) {
    if (to < kept) continue;
    const ids = events.flatMap(({ eventId }, i) =>
      around[i]!.from >= from && around[i]!.to <= to && !found.has(eventId) ? eventId : [],
    );
    if (ids.length === 0) continue;
    await beforeReading?.(Math.max(from, kept), to);
    const bounds = [
      ...(Number.isFinite(Math.max(from, kept)) ? [`and ts >= ${instant(Math.max(from, kept))}`] : []),
      ...(Number.isFinite(to) ? [`and ts <= ${instant(to)}`] : []),
    ].join(' ');
    const { rows } = await db.query<
      Record<'event_id' | 'customer_id' | 'ts' | 'ts_micros' | 'received_micros', string>
    >(
      `select event_id, customer_id, ts::text as ts, (extract(epoch from ts) * 1000000)::bigint as ts_micros,
         (extract(epoch from received_at) * 1000000)::bigint as received_micros
       from ${schema}event where tenant_id = $1 and event_id = any ($2::uuid[]) ${bounds}
       order by ts`,
      [tenantId, ids],
    );
    for (const row of rows) {
      const event = wanted.get(row.event_id)!;
      const tsMicros = Number(row.ts_micros);
      // Past its horizon an id may have been counted more than once.
      const same =
        event.tsMicros === undefined
          ? isOfClaim(Number(row.received_micros), event.receivedMicros)
          : tsMicros === event.tsMicros;
      if (same && !found.has(row.event_id)) {
        found.set(row.event_id, {
          eventId: row.event_id,
          customerId: row.customer_id,
          ts: row.ts,
          tsMicros,
        });
      }
    }
  }
}

/** Those that overlap as one, and so many at most. */
function joined(stretches: readonly Stretch[]): Stretch[] {
  const sorted = [...stretches].sort((a, b) => a.from - b.from);
  for (let gap = 0; ; gap = Math.max(1_000, gap * 4)) {
    const result: Stretch[] = [];
    for (const { from, to } of sorted) {
      const last = result.at(-1);
      if (last && from <= last.to + gap) last.to = Math.max(last.to, to);
      else result.push({ from, to });
    }
    if (result.length <= MOST_STRETCHES) return result;
  }
}
