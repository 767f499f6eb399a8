import type { Context } from 'hono';
import { UTC } from '../../../../ground/zones/zoneOffset.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import { identifyAs } from '../../../../model/eventId.ts';
import { parseJson } from '../../../../model/json.ts';
import { formatTimestamp, parseTimestamp } from '../../../../model/timestamp.ts';
import { listEvents, type StoredEvent } from '../../../../sums/listing/listEvents.ts';
import { usageSeries } from '../../../../sums/rollups/usageSeries.ts';
import { bodyOfEvents, storeEvents } from '../../answerEvents.ts';
import type { App, AppEnv } from '../../appEnv.ts';
import { tenantOf } from '../../context.ts';
import { parseRange } from '../../range.ts';
import type { Services } from '../../services.ts';
import { requireUtf8 } from '../../utf8.ts';
import { jsonAnswer } from '../answers.ts';
import { storedDocument } from '../storedDocument.ts';
import { ofBatch } from './lagoError.ts';
import { pageMeta, requirePage } from './pages.ts';

const OPTIONS = { onInvalid: 'reject', async: false } as const;
const one = { dialect: 'lago', framing: 'json', envelope: 'event' } as const;
const many = { dialect: 'lago', framing: 'json', envelope: 'events' } as const;

const DAY_MS = 86_400_000;
/** Events that pages of a list go through at most. */
const DEEPEST = 10_000;

/**
 * `{"event": {…}}`, told by its beginning, behind a byte order mark or not: no event of another kind begins with an object
 * of that name.
 */
export function isLagoBody(body: Buffer): boolean {
  return /^(?:\xef\xbb\xbf)?\s*\{\s*"event"\s*:/.test(body.toString('latin1', 0, 256));
}

const LIST_PARAMETERS = [
  'page',
  'per_page',
  'external_subscription_id',
  'code',
  'timestamp_from',
  'timestamp_to',
  'timestamp_from_started_at',
];

/** Whether a list of events is asked for by the parameters of Lago's. */
export function isLagoList(parameters: string[]): boolean {
  return parameters.some((name) => LIST_PARAMETERS.includes(name));
}

/** Stores one event. One that is stored already is no error, as every repetition here. */
export async function postLagoEvent(c: Context<AppEnv>, services: Services, body: Buffer): Promise<Response> {
  await storeEvents(c, services, body, { ...OPTIONS, format: one });
  const { event } = parseJson(requireUtf8(body)) as { event: Sent };
  return jsonAnswer(c, { event: echo(event, c.get('arrivedAt')) });
}

/** Events by page, newest first; of the last 31 days, unless another range is asked for. */
export async function listLagoEvents(c: Context<AppEnv>, services: Services): Promise<Response> {
  const context = await tenantOf(c, services, 'read');
  const { page, perPage } = requirePage(c);
  if (page * perPage > DEEPEST) {
    throw new TidemarkError(
      'invalid_request',
      `pages go ${DEEPEST} events back; ask for an earlier timestamp_to`,
    );
  }
  const {
    timestamp_from: from,
    timestamp_to: to,
    external_subscription_id: customerId,
    code,
  } = c.req.query();
  const range = parseRange(
    { from, to },
    { lengthMs: 31 * DAY_MS, aheadMs: services.config.ingest.acceptAheadMs, maxMs: 366 * DAY_MS },
  );
  const query = { ...range, customerId, eventType: code };
  const answer = await services.reads.inOneMoment(context, async (db) => {
    const { data } = await listEvents(db, context, { ...query, limit: page * perPage });
    const byDay = { ...query, granularity: '1d', offsets: UTC, limit: DEEPEST } as const;
    const days = await usageSeries(db, context, { ...byDay, groupBy: [] });
    const total = days.data.reduce((sum, { calls }) => sum + calls, 0);
    return { events: data.slice((page - 1) * perPage).map(toLago), meta: pageMeta(page, perPage, total) };
  });
  return jsonAnswer(c, answer);
}

export function eventRoutes(app: App, services: Services): void {
  app.post('/api/v1/events/batch', async (c) => {
    const body = await bodyOfEvents(c, services);
    await storeEvents(c, services, body, { ...OPTIONS, format: many }).catch((error: unknown) => {
      throw ofBatch(error);
    });
    const { events } = parseJson(requireUtf8(body)) as { events: Sent | Sent[] };
    return jsonAnswer(c, { events: [events].flat().map((event) => echo(event, c.get('arrivedAt'))) });
  });

  app.get('/api/v1/events/:id', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { acceptAheadMs, acceptBehindMs } = services.config.ingest;
    const now = Date.now();
    const query = {
      eventId: c.req.param('id'),
      from: now - acceptBehindMs,
      to: now + acceptAheadMs,
      limit: 1,
    };
    const { data } = await services.reads.inOneMoment(context, (db) => listEvents(db, context, query));
    if (!data[0]) throw new TidemarkError('not_found', 'there is no such event among those of late');
    return jsonAnswer(c, { event: toLago(data[0]) });
  });
}

/** An event that has been accepted. */
interface Sent {
  transaction_id: string;
  external_subscription_id: string;
  code: string;
  timestamp?: string | number | null;
  properties?: Record<string, unknown> | null;
  precise_total_amount_cents?: string | number | null;
}

/** @param receivedMs the time of an event that has none. */
function echo(event: Sent, receivedMs: number) {
  const { transaction_id, external_subscription_id, code, properties, timestamp } = event;
  const { eventId } = identifyAs('lago', [external_subscription_id, transaction_id], transaction_id);
  const micros = timestamp == null ? receivedMs * 1_000 : parseTimestamp(String(timestamp));
  const amount = event.precise_total_amount_cents;
  return {
    lago_id: eventId,
    transaction_id,
    lago_customer_id: null,
    lago_subscription_id: null,
    external_subscription_id,
    code,
    timestamp: formatTimestamp(micros),
    precise_total_amount_cents: amount == null ? null : String(amount),
    properties: properties ?? {},
    created_at: new Date(receivedMs).toISOString(),
  };
}

function toLago(event: StoredEvent) {
  const { precise_total_amount_cents: amount, ...properties } = storedDocument(event);
  const { eventId } = identifyAs('lago', [event.customerId, event.eventId], event.eventId);
  return {
    lago_id: eventId,
    transaction_id: event.eventId,
    lago_customer_id: null,
    lago_subscription_id: null,
    external_subscription_id: event.customerId,
    code: event.eventType,
    timestamp: event.timestamp,
    precise_total_amount_cents: amount === undefined ? null : String(amount),
    properties,
    created_at: event.receivedAt,
  };
}
