import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { TidemarkError } from '../../errors.ts';
import { listEvents } from '../../events/listEvents.ts';
import { NativeEvent } from '../../events/nativeEvent.ts';
import type { EventFormat } from '../../events/parseEvents.ts';
import { requireScope } from '../../tenancy/caller.ts';
import type { App, AppEnv } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { requestHeader } from '../nodeHttp.ts';
import { parseRange } from '../range.ts';
import { readBody } from '../readBody.ts';
import { receiveEvents } from '../receiveEvents.ts';
import {
  bodyFailures,
  Fault,
  id,
  json,
  Problem,
  pageQuery,
  pageSchema,
  rangeQuery,
  security,
  tenantFailures,
  tenantHeader,
} from '../schemas.ts';
import type { Services } from '../services.ts';
import { tellLimits } from '../tenantLimiting.ts';

const DAY_MS = 86_400_000;

/** Made whenever the description is served: an event of a fixed time would soon be too old to be sent. */
const exampleEvent = () => ({
  eventId: '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60',
  timestamp: new Date().toISOString(),
  customerId: 'acme',
  apiEndpoint: '/api/completion',
  metadata: { tokens: 1500, model: 'gpt-4', latencyMs: 234, inputTokens: 500, outputTokens: 1000 },
});
const examples = {
  one: {
    summary: 'One event',
    get value() {
      return exampleEvent();
    },
  },
  several: {
    summary: 'Several events',
    get value() {
      const line = { eventId: 'order-17/line-2', eventType: 'order.line', value: '12.50', unit: 'EUR' };
      return [exampleEvent(), { ...exampleEvent(), ...line }];
    },
  },
};

const Accepted = z
  .object({
    accepted: z
      .int()
      .openapi({ description: 'Events stored by this request: durable, and in every summary.' }),
    duplicates: z.int().openapi({ description: 'Events that had been stored before; counted once.' }),
    rejected: z.int().optional().openapi({ description: 'With onInvalid=skip: invalid events, not stored.' }),
    results: z
      .array(
        z.object({
          index: z.int(),
          status: z.enum(['accepted', 'duplicate', 'invalid']),
          errors: z.array(Fault).optional(),
        }),
      )
      .optional()
      .openapi({ description: 'With onInvalid=skip: the verdict on each event.' }),
  })
  .openapi('IngestResult');

const StoredEvent = z
  .object({
    eventId: z.string(),
    timestamp: z.string(),
    receivedAt: z.string(),
    tenantId: z.string(),
    customerId: z.string(),
    eventType: z.string(),
    apiEndpoint: z.string().optional(),
    sourceId: z.string().optional(),
    reference: z.string().optional(),
    unit: z.string().optional(),
    value: z.string().optional(),
    metadata: z.record(z.string(), z.unknown()),
  })
  .openapi('StoredEvent');

const OnInvalid = z.enum(['reject', 'skip']);

const postEvents = createRoute({
  method: 'post',
  path: '/v1/events',
  operationId: 'postEvents',
  tags: ['Events'],
  summary: 'Store events',
  description:
    'One event, an array, or one per line (application/x-ndjson); gzip is understood. Answered once the events are ' +
    'durable. All or nothing, unless onInvalid=skip. Safe to repeat: an eventId is counted once.',
  security,
  request: {
    headers: tenantHeader.extend({
      prefer: z
        .string()
        .optional()
        .openapi({ description: 'respond-async: answer 202 as soon as the events are queued.' }),
    }),
    query: z.object({
      onInvalid: OnInvalid.default('reject').openapi({
        description: 'reject: one invalid event refuses the request. skip: store the valid ones.',
      }),
    }),
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z.union([NativeEvent, z.array(NativeEvent)]),
          examples,
        },
        'application/x-ndjson': {
          schema: z.string(),
          get example() {
            return `${JSON.stringify(exampleEvent())}\n`;
          },
        },
      },
    },
  },
  responses: {
    200: json(Accepted, 'The transaction that holds the events has committed'),
    202: json(z.object({ queued: z.int() }), 'Prefer: respond-async; the events are queued'),
    ...tenantFailures,
    ...bodyFailures,
    422: {
      description: 'The database refuses one of the events; none of the request is stored',
      content: { 'application/problem+json': { schema: Problem } },
    },
  },
});

const getEvents = createRoute({
  method: 'get',
  path: '/v1/events',
  operationId: 'listEvents',
  tags: ['Events'],
  summary: 'Raw events, newest first',
  description: 'Default range: the last day. At most 31 days.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      ...rangeQuery,
      customerId: id.optional(),
      eventType: id.optional(),
      reference: id.optional(),
      ...pageQuery(100, 1_000),
    }),
  },
  responses: { 200: json(pageSchema(StoredEvent, 'EventPage'), 'Events'), ...tenantFailures },
});

export function eventRoutes(app: App, services: Services): void {
  // Described like the others, but read by hand: a body of 10,000 events is validated event by event.
  app.openAPIRegistry.registerPath(postEvents);
  app.post('/v1/events', async (c) => {
    const caller = c.get('caller');
    requireScope(caller, 'ingest');
    const onInvalid = OnInvalid.safeParse(c.req.query('onInvalid') ?? 'reject');
    if (!onInvalid.success) throw new TidemarkError('invalid_request', 'onInvalid may be reject or skip');
    const format = formatOf(c);
    const reading = Date.now();
    const body = await readBody(c, services.config.http.maxBodyBytes);
    const answer = await receiveEvents(services, caller, requestHeader(c, 'x-tenant-id'), body, {
      format,
      onInvalid: onInvalid.data,
      since: c.get('arrivedAt') + (Date.now() - reading), // the time its body took is the client's
      onLimited: (tenantId, limits) => tellLimits(c, services.limiter, tenantId, limits),
      async: /(^|,)\s*respond-async\s*(,|;|$)/i.test(requestHeader(c, 'prefer') ?? ''),
    });
    if (!('queued' in answer)) return c.json(answer, 200);
    c.header('Preference-Applied', 'respond-async');
    return c.json(answer, 202);
  });

  app.openapi(getEvents, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const query = c.req.valid('query');
    const range = parseRange(query, {
      lengthMs: DAY_MS,
      aheadMs: services.config.ingest.acceptAheadMs,
      maxMs: 31 * DAY_MS,
    });
    return c.json(await listEvents(services.reads.as(context), context, { ...query, ...range }), 200);
  });
}

function formatOf(c: Context<AppEnv>): EventFormat {
  const type = (requestHeader(c, 'content-type') ?? 'application/json')
    .split(';', 1)[0]!
    .trim()
    .toLowerCase();
  if (type === 'application/json') return { dialect: 'native', framing: 'json' };
  if (type === 'application/x-ndjson' || type === 'application/ndjson' || type === 'application/jsonl')
    return { dialect: 'native', framing: 'ndjson' };
  throw new TidemarkError('unsupported_media_type', 'send application/json or application/x-ndjson');
}
