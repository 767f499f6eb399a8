import type { Context } from 'hono';
import type { TenantContext } from '../../../../access/tenancy/tenantContext.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import {
  type EventQuery,
  listEventRows,
  type StoredEvent,
  toEvent,
} from '../../../../sums/listing/listEvents.ts';
import { listMeters } from '../../../../sums/meters/catalog/listMeters.ts';
import { eventVerdicts, type MeterVerdict } from '../../../../sums/meters/reading/eventVerdicts.ts';
import { storeEvents } from '../../answerEvents.ts';
import type { App, AppEnv } from '../../appEnv.ts';
import { tenantOf } from '../../context.ts';
import { requestHeader } from '../../nodeHttp.ts';
import { instantOf, parseRange } from '../../range.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { storedDocument } from '../storedDocument.ts';
import { wholeList } from '../wholeList.ts';
import { readEventFilter } from './eventFilter.ts';
import { validationError } from './validationError.ts';

const OPTIONS = {
  format: { dialect: 'openmeter', framing: 'json' },
  onInvalid: 'reject',
  async: false,
} as const;
const TYPES = ['application/cloudevents+json', 'application/cloudevents-batch+json', 'application/json'];

const DAY_MS = 86_400_000;
const MAX_LIMIT = 100;

/** Stores events: all of a request, or none. An empty answer says that they are durable, and counted. */
export async function postOpenMeterEvents(
  c: Context<AppEnv>,
  services: Services,
  body: Buffer,
): Promise<Response> {
  const type = requestHeader(c, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === undefined || !TYPES.includes(type)) {
    throw new TidemarkError('unsupported_media_type', `send Content-Type: ${TYPES.join(', or ')}`, {
      headers: { Accept: TYPES.join(', ') },
    });
  }
  await storeEvents(c, services, body, OPTIONS);
  return c.body(null, 204);
}

/** Events, newest first; of the last 32 days, unless another range of as many is asked for. */
export async function listOpenMeterEvents(c: Context<AppEnv>, services: Services): Promise<Response> {
  const context = await tenantOf(c, services, 'read');
  const { id, subject, from, to, ingestedAtFrom, ingestedAtTo, limit } = c.req.query();
  const customers = c.req.queries('customerId');
  const subjects = subject === undefined ? undefined : [subject];
  const { items } = await listed(services, context, {
    ...rangeOf(services, { from, to }),
    idPart: id,
    customers:
      subjects && customers ? subjects.filter((key) => customers.includes(key)) : (subjects ?? customers),
    receivedFrom: ingestedAtFrom === undefined ? undefined : instantOf('ingestedAtFrom', ingestedAtFrom),
    receivedTo: ingestedAtTo === undefined ? undefined : instantOf('ingestedAtTo', ingestedAtTo),
    limit: limitOf(limit),
  });
  return jsonAnswer(c, items);
}

export function eventRoutes(app: App, services: Services): void {
  app.get('/api/v2/events', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { filter, cursor, limit } = c.req.query();
    const { from, to, ...conditions } = readEventFilter(filter);
    const { items, nextCursor } = await listed(services, context, {
      ...rangeOf(services, { from, to }),
      ...conditions,
      cursor,
      limit: limitOf(limit),
    });
    return jsonAnswer(c, { items, ...(nextCursor !== null && { nextCursor }) });
  });
}

function rangeOf({ config }: Services, range: { from?: string | undefined; to?: string | undefined }) {
  const { acceptAheadMs } = config.ingest;
  return parseRange(range, {
    lengthMs: 32 * DAY_MS,
    aheadMs: acceptAheadMs,
    maxMs: 33 * DAY_MS + acceptAheadMs,
  });
}

async function listed(services: Services, context: TenantContext, query: EventQuery) {
  const meters = await wholeList((part) => listMeters(services.admin, context, part));
  const paths = new Map(meters.map(({ slug, definition }) => [slug, definition.value]));
  return services.reads.inOneMoment(context, async (db) => {
    const page = await listEventRows(db, context, query);
    const verdicts = await eventVerdicts(db, context, page.data);
    const events = page.data.map((row) => toEvent(context.tenantId, row));
    const items = events.map((event, i) => toIngested(event, verdicts[i]!, paths));
    return { items, nextCursor: page.nextCursor };
  });
}

/** An event as its client sent it, what each meter of its type made of it, and the error that is in that. */
function toIngested(event: StoredEvent, meters: MeterVerdict[], paths: ReadonlyMap<string, string | null>) {
  const { customerId, eventType, sourceId, timestamp, receivedAt } = event;
  const data = storedDocument(event);
  const source = sourceId ?? 'tidemark';
  const error = validationError(eventType, data, meters, paths);
  return {
    event: {
      specversion: '1.0',
      // Of a CloudEvent the id that is shown has its source before it.
      id: event.eventId.startsWith(`${source} `) ? event.eventId.slice(source.length + 1) : event.eventId,
      source,
      type: eventType,
      subject: customerId,
      time: timestamp,
      ...(Object.keys(data).length > 0 && { data }),
    },
    customerId,
    ...(error !== undefined && { validationError: error }),
    meters,
    ingestedAt: receivedAt,
    storedAt: receivedAt,
  };
}

function limitOf(limit: string | undefined): number {
  if (limit === undefined) return MAX_LIMIT;
  const value = /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (value >= 1 && value <= MAX_LIMIT) return value;
  throw new TidemarkError('invalid_request', `limit must be a number from 1 to ${MAX_LIMIT}`);
}
