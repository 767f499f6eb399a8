import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { Increment, rulesUnderKey } from '../../../intake/events/dialects/increment.ts';
import { listCounters, readCounter } from '../../../sums/counters/counters.ts';
import { requireSameIncrement } from '../../../sums/counters/requireSameIncrement.ts';
import { answerEvents } from '../answerEvents.ts';
import type { App, AppEnv } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { formatOf } from '../eventFormat.ts';
import { idempotencyKey } from '../idempotencyKey.ts';
import { EventsRefused, ingestRequest, ingestResponses } from '../ingestSchemas.ts';
import {
  id,
  json,
  jsonPage,
  pageQuery,
  problemAnswer,
  security,
  tenantFailures,
  tenantHeader,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const Counter = z
  .object({
    key: z.string(),
    value: z.string().openapi({ description: 'A decimal, exact.' }),
    updatedAt: z.string(),
  })
  .openapi('Counter');

const increments = {
  one: { summary: 'One increment', value: { key: 'signups', value: 1 } },
  several: {
    summary: 'Several increments',
    value: [
      { key: 'signups', value: 2 },
      { key: 'revenue', value: '19.90' },
    ],
  },
};

const postIncrement = (path: '/v1/counters/increment' | '/increment', operationId: string) =>
  createRoute({
    method: 'post',
    path,
    operationId,
    tags: ['Counters'],
    summary: 'Add to a counter',
    description:
      'A counter comes into being with its first increment. One increment, an array, or one per line ' +
      '(application/x-ndjson). The total is readable at once. An Idempotency-Key makes a request with one increment safe ' +
      'to repeat. Each increment is an event of type counter.increment about the customer of that name. ' +
      '/increment and /v1/counters/increment are the same.',
    security,
    request: {
      ...ingestRequest,
      headers: ingestRequest.headers.extend({
        'idempotency-key': z
          .string()
          .optional()
          .openapi({
            description:
              'A text in quotes, at most 256 characters. Repeated with the same increment it is counted once; with another, ' +
              'the request is refused (not with respond-async, which answers before that is known).',
            example: '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
          }),
      }),
      body: {
        required: true,
        content: {
          'application/json': {
            schema: z.union([Increment, z.array(Increment)]),
            examples: increments,
          },
          'application/x-ndjson': {
            schema: z.string(),
            example: `${JSON.stringify(increments.one.value)}\n`,
          },
        },
      },
    },
    responses: {
      ...ingestResponses,
      422: {
        description:
          'An increment is invalid, the Idempotency-Key has been used for another, or the database refuses one; nothing ' +
          'was added',
        content: { 'application/problem+json': { schema: EventsRefused } },
      },
    },
  });

const getCounters = createRoute({
  method: 'get',
  path: '/v1/counters',
  operationId: 'listCounters',
  tags: ['Counters'],
  summary: 'Counters by key',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      prefix: id.optional().openapi({ description: 'Those whose key begins so.' }),
      ...pageQuery(100, 1_000),
    }),
  },
  responses: { 200: jsonPage(Counter, 'CounterPage', 'Counters'), ...tenantFailures },
});

const getCounter = createRoute({
  method: 'get',
  path: '/v1/counters/{key}',
  operationId: 'readCounter',
  tags: ['Counters'],
  summary: 'One counter',
  security,
  request: { headers: tenantHeader, params: z.object({ key: id }) },
  responses: {
    200: json(Counter, 'The counter'),
    ...tenantFailures,
    404: problemAnswer('There is no such counter, or no such tenant'),
  },
});

export function counterRoutes(app: App, services: Services): void {
  const increment = (c: Context<AppEnv>) => {
    const key = idempotencyKey(c);
    return answerEvents(c, services, (request) => formatOf(request, 'increment'), {
      ...(key !== undefined && {
        rules: rulesUnderKey(key),
        onDuplicates: (events) =>
          Promise.all(events.map((event) => requireSameIncrement(services.reads.as(event), event))),
      }),
    });
  };
  app.openAPIRegistry.registerPath(postIncrement('/v1/counters/increment', 'incrementCounter'));
  app.post('/v1/counters/increment', increment);
  app.openAPIRegistry.registerPath(postIncrement('/increment', 'incrementCounterShort'));
  app.post('/increment', increment);

  app.openapi(getCounters, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(await listCounters(services.reads.as(context), context, c.req.valid('query')), 200);
  });

  app.openapi(getCounter, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(await readCounter(services.reads.as(context), context, c.req.valid('param').key), 200);
  });
}
