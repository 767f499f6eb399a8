import type { Queryable } from '../db/connections.ts';
import { decodeCursor, type List, type Page, pageOf } from '../db/paging.ts';
import { instant, SqlParameters } from '../db/sqlParameters.ts';
import { requireKept } from '../retention/requireKept.ts';
import type { TenantContext } from '../tenancy/tenantContext.ts';
import { formatTimestamp } from './timestamp.ts';

export interface EventQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  customerId?: string | undefined;
  eventType?: string | undefined;
  reference?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

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
  metadata: Record<string, unknown>;
}

interface Row {
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
  metadata: Record<string, unknown> | null;
}

const EVENTS: List = { name: 'events', key: ['micros', 'uuid'] };

/**
 * Raw events, newest first.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 * @throws TM005 where events are no longer kept that far back.
 */
export async function listEvents(
  db: Queryable,
  context: TenantContext,
  query: EventQuery,
): Promise<Page<StoredEvent>> {
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, EVENTS);
  const parameters = new SqlParameters();
  const conditions = [`tenant_id = ${parameters.add(context.tenantId)}`];
  conditions.push(`ts >= ${instant(query.from)}`, `ts < ${instant(query.to)}`);
  if (query.customerId !== undefined) conditions.push(`customer_id = ${parameters.add(query.customerId)}`);
  if (query.eventType !== undefined) conditions.push(`event_type = ${parameters.add(query.eventType)}`);
  if (query.reference !== undefined) conditions.push(`reference = ${parameters.add(query.reference)}`);
  if (after) {
    const ts = parameters.add(formatTimestamp(after[0] as number));
    conditions.push(`ts <= ${ts}::timestamptz`);
    conditions.push(`(ts, event_id) < (${ts}::timestamptz, ${parameters.add(after[1])}::uuid)`);
  }
  await requireKept(db, 'event', query.from);
  const { rows } = await db.query<Row>(
    `select (extract(epoch from ts) * 1000000)::bigint as ts_micros,
       (extract(epoch from received_at) * 1000000)::bigint as received_micros,
       event_id, external_id, customer_id, event_type, endpoint, model, source_id, reference, unit, value,
       tokens, input_tokens, output_tokens, latency_ms, metadata
     from tenant_data.event
     where ${conditions.join(' and ')}
     order by ts desc, event_id desc
     limit ${query.limit + 1}`,
    parameters.values,
  );
  const page = pageOf(rows, query.limit, EVENTS, (row) => [Number(row.ts_micros), row.event_id]);
  return { data: page.data.map((row) => toEvent(context.tenantId, row)), nextCursor: page.nextCursor };
}

function toEvent(tenantId: string, row: Row): StoredEvent {
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
      ...row.metadata,
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
