import { createRoute, z } from '@hono/zod-openapi';
import { ValueRecord } from '../../../intake/events/dialects/record.ts';
import { RECORD_TYPES } from '../../../model/recordType.ts';
import { listRecords } from '../../../sums/listing/listRecords.ts';
import { answerEvents } from '../answerEvents.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { formatOf } from '../eventFormat.ts';
import { ingestRequest, ingestResponses } from '../ingestSchemas.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { parseRange } from '../range.ts';
import { id, jsonPage, security, tenantFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;

/** Made whenever the description is served, as the examples of events are. */
const exampleRecord = () => ({
  recordId: 'transfer-17',
  time: new Date().toISOString(),
  sourceId: 'ledger-1',
  destinationId: 'acme',
  type: 'positive',
  value: '12.50',
  unit: 'EUR',
  reference: 'invoice-9',
});

const postRecords = createRoute({
  method: 'post',
  path: '/v1/records',
  operationId: 'postRecords',
  tags: ['Records'],
  summary: 'Store signed value records',
  description:
    'One record, an array, or one per line (application/x-ndjson); gzip is understood. A record is stored as an event ' +
    'of type positive or negative about the customer destinationId. Answered once the records are durable. All or ' +
    'nothing, unless onInvalid=skip. Safe to repeat: a recordId is counted once. A value keeps its digits, as a number too; ' +
    'send it as a string where your JSON library makes doubles of numbers.',
  security,
  request: {
    ...ingestRequest,
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z.union([ValueRecord, z.array(ValueRecord)]),
          examples: {
            one: {
              summary: 'One record',
              get value() {
                return exampleRecord();
              },
            },
            several: {
              summary: 'Several records',
              get value() {
                const correction = {
                  recordId: 'transfer-18',
                  type: 'negative',
                  value: '0.000000000000000001',
                };
                return [exampleRecord(), { ...exampleRecord(), ...correction }];
              },
            },
          },
        },
        'application/x-ndjson': {
          schema: z.string(),
          get example() {
            return `${JSON.stringify(exampleRecord())}\n`;
          },
        },
      },
    },
  },
  responses: ingestResponses,
});

const decimal = z.string().openapi({ description: 'Exact decimal.', example: '12.5' });

const StoredRecord = z
  .object({
    recordId: z.string(),
    time: z.string(),
    sourceId: z.string().optional(),
    destinationId: z.string(),
    type: z.enum(RECORD_TYPES),
    value: decimal,
    unit: z.string().optional(),
    reference: z.string().optional(),
  })
  .openapi('StoredRecord');

const RecordGroup = z
  .object({
    destinationId: z.string(),
    totalValue: z.string().openapi({ description: 'Exact decimal: positiveTotal − negativeTotal.' }),
    positiveTotal: decimal,
    negativeTotal: decimal,
    count: z.int().openapi({ description: 'Records that match, on this page or not.' }),
    records: z.array(StoredRecord),
  })
  .openapi('RecordGroup');

const getRecords = createRoute({
  method: 'get',
  path: '/v1/records',
  operationId: 'listRecords',
  tags: ['Records'],
  summary: 'Signed value records, grouped by destination',
  description:
    'Events of the types positive and negative. The totals of a group are over everything that matches; its records ' +
    'are those on the page, by destination, time and id. limit counts records: a group that goes on is on the next page ' +
    'again, with its totals. Default range: the last day. At most 366 days.',
  security,
  request: rangeOfTenant({
    type: z.enum(RECORD_TYPES).optional(),
    destinationId: id.optional(),
    reference: id.optional(),
  }),
  responses: { 200: jsonPage(RecordGroup, 'RecordPage', 'Groups'), ...tenantFailures },
});

export function recordRoutes(app: App, services: Services): void {
  // Described like the others, but read by hand: a body of 10,000 records is validated record by record.
  app.openAPIRegistry.registerPath(postRecords);
  app.post('/v1/records', (c) => answerEvents(c, services, (request) => formatOf(request, 'record')));

  app.openapi(getRecords, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const query = c.req.valid('query');
    const range = parseRange(query, {
      lengthMs: DAY_MS,
      aheadMs: services.config.ingest.acceptAheadMs,
      maxMs: 366 * DAY_MS,
    });
    return c.json(
      await services.reads.inOneMoment(context, (db) => listRecords(db, context, { ...query, ...range })),
      200,
    );
  });
}
