import { createRoute, z } from '@hono/zod-openapi';
import { listWindows } from '../../rollups/listWindows.ts';
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
  windowSums,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const HOUR_MS = 3_600_000;

const Window = z
  .object({
    windowStart: z.string(),
    windowEnd: z.string(),
    tenantId: z.string(),
    customerId: z.string(),
    state: z.enum(['open', 'closed', 'revised']).openapi({
      description: 'closed: final. revised: it was closed and late events have changed it since.',
    }),
    revision: z.int().openapi({ description: 'How often it has changed since it closed.' }),
    aggregations: z.object({
      ...windowSums,
    }),
  })
  .openapi('Window');

const getWindows = createRoute({
  method: 'get',
  path: '/v1/windows',
  operationId: 'listWindows',
  tags: ['Summaries'],
  summary: '30-second summaries per customer',
  description:
    'Windows with events that start in the range, by start and customer. Default range: the last hour.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({ ...rangeQuery, customerId: id.optional(), ...pageQuery(100, 1_000) }),
  },
  responses: { 200: json(pageSchema(Window, 'WindowPage'), 'Windows'), ...tenantFailures },
});

export function windowRoutes(app: App, services: Services): void {
  app.openapi(getWindows, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const query = c.req.valid('query');
    const range = parseRange(query, {
      lengthMs: HOUR_MS,
      aheadMs: services.config.ingest.acceptAheadMs,
      maxMs: 31 * 24 * HOUR_MS,
    });
    return c.json(await listWindows(services.reads, context, { ...query, ...range }), 200);
  });
}
