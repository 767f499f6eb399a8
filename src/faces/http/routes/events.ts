import { createRoute, z } from '@hono/zod-openapi';
import { requireScope } from '../../../access/tenancy/caller.ts';
import { CloudEvent } from '../../../intake/events/dialects/cloudEvent.ts';
import { NativeEvent } from '../../../intake/events/nativeEvent.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { stringifyJson } from '../../../model/json.ts';
import { listEvents } from '../../../sums/listing/listEvents.ts';
import { listMeteredEvents } from '../../../sums/meters/reading/listMeteredEvents.ts';
import { answerEvents } from '../answerEvents.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { eventFormat } from '../eventFormat.ts';
import { StoredEvent } from '../eventSchemas.ts';
import { stagingRequest, stagingResponses } from '../ingestSchemas.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { parseRange } from '../range.ts';
import { id, jsonPage, security, tenantFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

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

const exampleCloudEvent = () => ({
  specversion: '1.0',
  id: 'c7d1f0e4',
  source: '/gateways/eu-1',
  type: 'api.request',
  subject: 'acme',
  time: new Date().toISOString(),
  data: { apiEndpoint: '/api/completion', model: 'gpt-4', inputTokens: 500, outputTokens: 1000 },
});

const postEvents = createRoute({
  method: 'post',
  path: '/v1/events',
  operationId: 'postEvents',
  tags: ['Events'],
  summary: 'Store events',
  description:
    'One event, an array, or one per line (application/x-ndjson, or no type at all); gzip is understood. Answered once the events are ' +
    'durable. All or nothing, unless onInvalid=skip. Safe to repeat: an eventId is counted once. CloudEvents 1.0 are ' +
    'taken in all three modes: one, a batch, or binary, with the attributes in ce- headers and the data as the body; ' +
    'their source and id together are counted once.',
  security,
  request: {
    ...stagingRequest,
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
        'application/cloudevents+json': {
          schema: CloudEvent,
          get example() {
            return exampleCloudEvent();
          },
        },
        'application/cloudevents-batch+json': {
          schema: z.array(CloudEvent),
          get example() {
            return [exampleCloudEvent(), { ...exampleCloudEvent(), id: 'c7d1f0e5', time: undefined }];
          },
        },
      },
    },
  },
  responses: stagingResponses,
});

const getEvents = createRoute({
  method: 'get',
  path: '/v1/events',
  operationId: 'listEvents',
  tags: ['Events'],
  summary: 'Raw events, newest first',
  description: 'Default range: the last day. At most 31 days. Those that are void have voidedAt.',
  security,
  request: rangeOfTenant({
    customerId: id.optional(),
    eventType: id.optional(),
    reference: id.optional(),
    state: z.enum(['counted', 'voided', 'all']).default('all').openapi({
      description: 'counted: without those that are void. voided: only those.',
    }),
    meters: z
      .enum(['true', 'false'])
      .default('false')
      .openapi({ description: 'true: with what each event is to each meter of its type, and why.' }),
  }),
  responses: { 200: jsonPage(StoredEvent, 'EventPage', 'Events'), ...tenantFailures },
});

export function eventRoutes(app: App, services: Services): void {
  // Described like the others, but read by hand: a body of 10,000 events is validated event by event.
  app.openAPIRegistry.registerPath(postEvents);
  app.post('/v1/events', (c) => {
    const backfill = stagingRequest.query.shape.backfill.safeParse(c.req.query('backfill'));
    if (!backfill.success)
      throw new TidemarkError('invalid_request', 'backfill must be the id of a backfill');
    if (backfill.data === undefined) return answerEvents(c, services, eventFormat);
    requireScope(c.get('caller'), 'correct');
    return answerEvents(c, services, eventFormat, { backfill: backfill.data });
  });

  app.openapi(getEvents, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { meters, ...query } = c.req.valid('query');
    const range = parseRange(query, {
      lengthMs: DAY_MS,
      aheadMs: services.config.ingest.acceptAheadMs,
      maxMs: 31 * DAY_MS,
    });
    const page = await services.reads.inOneMoment(context, (db) =>
      meters === 'true'
        ? listMeteredEvents(db, context, { ...query, ...range })
        : listEvents(db, context, { ...query, ...range }),
    );
    // As c.json(page) would, but for numbers that are not to become doubles.
    return c.body(stringifyJson(page), 200, { 'Content-Type': 'application/json' }) as never;
  });
}
