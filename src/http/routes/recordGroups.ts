import { createRoute, z } from '@hono/zod-openapi';
import { listRecords, RECORD_TYPES } from '../../events/listRecords.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { parseRange } from '../range.ts';
import {
  id,
  json,
  pageQuery,
  pageSchema,
  rangeQuery,
  security,
  tenantFailures,
  tenantHeader,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;

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
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      ...rangeQuery,
      type: z.enum(RECORD_TYPES).optional(),
      destinationId: id.optional(),
      reference: id.optional(),
      ...pageQuery(100, 1_000),
    }),
  },
  responses: { 200: json(pageSchema(RecordGroup, 'RecordPage'), 'Groups'), ...tenantFailures },
});

export function recordGroupRoutes(app: App, services: Services): void {
  app.openapi(getRecords, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const query = c.req.valid('query');
    const range = parseRange(query, {
      lengthMs: DAY_MS,
      aheadMs: services.config.ingest.acceptAheadMs,
      maxMs: 366 * DAY_MS,
    });
    return c.json(await listRecords(services.reads.as(context), context, { ...query, ...range }), 200);
  });
}
