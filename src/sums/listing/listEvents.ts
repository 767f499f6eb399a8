import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { parseJson } from '../../model/json.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { requireKept } from '../retention/requireKept.ts';

export interface EventQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  customerId?: string | undefined;
  eventType?: string | undefined;
  reference?: string | undefined;
  /** Any of them. */
  customers?: readonly string[] | undefined;
  sourceId?: string | undefined;
  /** The id as its client has it: of a CloudEvent, without its source. */
  eventId?: string | undefined;
  /** A part of that. */
  idPart?: string | undefined;
  /** When it was received: [receivedFrom, receivedTo) in ms since the epoch. */
  receivedFrom?: number | undefined;
  receivedTo?: number | undefined;
  /** Which, besides those that count: those that are void, or both. Left out: just those that count. */
  state?: EventState | undefined;
  cursor?: string | undefined;
  limit: number;
}

export type EventState = 'counted' | 'voided' | 'all';

/** An event as it was posted, with what the service added. */
export interface StoredEvent {
  eventId: string;
  timestamp: string;
  receivedAt: string;
  tenantId: string;
  customerId: string;
  eventType: string;
  apiEndpoint?: string;
  sourceId?: string;
  reference?: string;
  unit?: string;
  value?: string;
  /** Numbers that no double holds are JsonNumbers: `stringifyJson` writes them. */
  metadata: Record<string, unknown>;
  /** Since when it is void, and counts nowhere. Left out: it counts. */
  voidedAt?: string;
  /** What made it so. */
  correction?: CorrectionNote;
}

/** Who has corrected something, and why. */
export interface CorrectionNote {
  id: string;
  reason: string;
  /** Of a key its id; null: ADMIN_KEY. */
  actor: { kind: string; keyId: string | null };
}

/** An event as it is read: bigint and numeric as text. */
export interface EventRow {
  ts_micros: string;
  received_micros: string;
  event_id: string;
  external_id: string | null;
  customer_id: string;
  event_type: string;
  endpoint: string | null;
  model: string | null;
  source_id: string | null;
  reference: string | null;
  unit: string | null;
  value: string | null;
  tokens: string | null;
  input_tokens: string | null;
  output_tokens: string | null;
  latency_ms: number | null;
  /** JSON text of an object: as jsonb the driver would make doubles of its numbers. */
  metadata: string | null;
}

/** The same, and what made it void. */
export interface ListedRow extends EventRow {
  correction_id: string | null;
  corrected_micros: string | null;
  reason: string | null;
  actor_kind: string | null;
  actor_key_id: string | null;
}

const COUNTED = {
  columns: `null::uuid as correction_id, null::bigint as corrected_micros, null::text as reason, null::text as actor_kind,
       null::uuid as actor_key_id`,
  from: 'tenant_data.event',
};
/** Events that are void, by the version that was. */
const VOIDED = {
  columns:
    'correction_id, (extract(epoch from at) * 1000000)::bigint as corrected_micros, reason, actor_kind, actor_key_id',
  from: `(select u.*, c.at, c.reason, c.actor_kind, c.actor_key_id
          from tenant_data.uncounted_event u join tenant_data.correction c on c.id = u.correction_id
          where u.state = 'voided') as voided`,
};

/** What makes an `EventRow` of a row of events. */
export const EVENT_ROW = `(extract(epoch from ts) * 1000000)::bigint as ts_micros,
       (extract(epoch from received_at) * 1000000)::bigint as received_micros,
       event_id, external_id, customer_id, event_type, endpoint, model, source_id, reference, unit, value,
       tokens, input_tokens, output_tokens, latency_ms, metadata::text as metadata`;

/** The id of an event as its client has it: what is kept of a CloudEvent's has its source before it. */
const CLIENT_ID = `case when starts_with(external_id, source_id || ' ') then substr(external_id, length(source_id) + 2)
  else coalesce(external_id, event_id::text) end`;

const EVENTS: List = { name: 'events', key: ['micros', 'uuid'] };
/** When an event happened (µs), and its id. */
type EventPosition = [micros: number, eventId: string];
/** First stretch of time that is read, in ms, and how many times as long each is as the one before. */
const FIRST_SLICE_MS = 1_000;
const SLICE_GROWTH = 10;

/**
 * Raw events, newest first. The view is a barrier that no order gets through, so a query sorts all that is in its range:
 * a page is read in stretches of time, back from its end, that grow until it is full.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 * @throws TM005 where events are no longer kept that far back.
 */
export async function listEvents(
  db: Queryable,
  context: TenantContext,
  query: EventQuery,
): Promise<Page<StoredEvent>> {
  const page = await listEventRows(db, context, query);
  return { data: page.data.map((row) => toListedEvent(context.tenantId, row)), nextCursor: page.nextCursor };
}

/** The same as rows of the table. */
export async function listEventRows(
  db: Queryable,
  context: TenantContext,
  query: EventQuery,
): Promise<Page<ListedRow>> {
  const after = query.cursor === undefined ? null : (decodeCursor(query.cursor, EVENTS) as EventPosition);
  await requireKept(db, 'event', query.from);
  const most = query.limit + 1;
  const rows: ListedRow[] = [];
  let end = after ? Math.min(query.to, Math.floor(after[0] / 1_000) + 1) : query.to;
  // What is ahead of the clock is little: it is read with the first stretch.
  let sliceMs = FIRST_SLICE_MS + Math.max(0, end - Date.now());
  for (let growth = SLICE_GROWTH; end > query.from && rows.length < most; growth *= SLICE_GROWTH) {
    const from = Math.max(query.from, end - sliceMs);
    rows.push(...(await readSlice(db, context, { ...query, from, to: end }, after, most - rows.length)));
    end = from;
    sliceMs = FIRST_SLICE_MS * growth;
  }
  return pageOf(rows, query.limit, EVENTS, (row) => [Number(row.ts_micros), row.event_id]);
}

/** At most `most` events of a range that come after a position, newest first. */
async function readSlice(
  db: Queryable,
  context: TenantContext,
  { from, to, customerId, eventType, reference, ...query }: EventQuery,
  after: EventPosition | null,
  most: number,
): Promise<ListedRow[]> {
  const parameters = new SqlParameters();
  const conditions = [`tenant_id = ${parameters.add(context.tenantId)}`];
  conditions.push(`ts >= ${instant(from)}`, `ts < ${instant(to)}`);
  if (customerId !== undefined) conditions.push(`customer_id = ${parameters.add(customerId)}`);
  if (eventType !== undefined) conditions.push(`event_type = ${parameters.add(eventType)}`);
  if (reference !== undefined) conditions.push(`reference = ${parameters.add(reference)}`);
  const { customers, sourceId, eventId, idPart, receivedFrom, receivedTo } = query;
  if (customers !== undefined) conditions.push(`customer_id = any (${parameters.add(customers)})`);
  if (sourceId !== undefined) conditions.push(`source_id = ${parameters.add(sourceId)}`);
  if (eventId !== undefined) conditions.push(`${CLIENT_ID} = ${parameters.add(eventId)}`);
  if (idPart !== undefined) conditions.push(`strpos(${CLIENT_ID}, ${parameters.add(idPart)}) > 0`);
  if (receivedFrom !== undefined) conditions.push(`received_at >= ${instant(receivedFrom)}`);
  if (receivedTo !== undefined) conditions.push(`received_at < ${instant(receivedTo)}`);
  if (after) {
    const ts = parameters.add(formatTimestamp(after[0]));
    conditions.push(`ts <= ${ts}::timestamptz`);
    conditions.push(`(ts, event_id) < (${ts}::timestamptz, ${parameters.add(after[1])}::uuid)`);
  }
  const { state = 'counted' } = query;
  const sources = [...(state === 'voided' ? [] : [COUNTED]), ...(state === 'counted' ? [] : [VOIDED])].map(
    ({ columns, from }) => `(
     select ${EVENT_ROW}, ${columns}
     from ${from}
     where ${conditions.join(' and ')}
     order by ts desc, event_id desc
     limit ${most})`,
  );
  const { rows } = await db.query<ListedRow>(
    sources.length === 1
      ? sources[0]!
      : `${sources.join(' union all ')} order by ts_micros desc, event_id desc limit ${most}`,
    parameters.values,
  );
  return rows;
}

/** An event as it is listed. */
export function toListedEvent(tenantId: string, row: ListedRow): StoredEvent {
  const event = toEvent(tenantId, row);
  if (row.correction_id === null) return event;
  return {
    ...event,
    voidedAt: formatTimestamp(Number(row.corrected_micros)),
    correction: {
      id: row.correction_id,
      reason: row.reason!,
      actor: { kind: row.actor_kind!, keyId: row.actor_key_id },
    },
  };
}

/** An event as it is answered. */
export function toEvent(tenantId: string, row: EventRow): StoredEvent {
  return {
    eventId: row.external_id ?? row.event_id,
    timestamp: formatTimestamp(Number(row.ts_micros)),
    receivedAt: formatTimestamp(Number(row.received_micros)),
    tenantId,
    customerId: row.customer_id,
    eventType: row.event_type,
    ...present({
      apiEndpoint: row.endpoint,
      sourceId: row.source_id,
      reference: row.reference,
      unit: row.unit,
      value: row.value,
    }),
    metadata: {
      ...present({
        tokens: toNumber(row.tokens),
        model: row.model,
        latencyMs: row.latency_ms,
        inputTokens: toNumber(row.input_tokens),
        outputTokens: toNumber(row.output_tokens),
      }),
      ...(row.metadata === null ? {} : (parseJson(row.metadata) as Record<string, unknown>)),
    },
  };
}

function toNumber(value: string | null): number | null {
  return value === null ? null : Number(value);
}

function present<Fields extends Record<string, unknown>>(fields: Fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as {
    [Name in keyof Fields]?: NonNullable<Fields[Name]>;
  };
}
