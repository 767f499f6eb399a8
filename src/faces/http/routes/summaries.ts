import { createRoute, z } from '@hono/zod-openapi';
import { activitySummaries } from '../../../sums/rollups/activitySummaries.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { parseRange } from '../range.ts';
import { id, jsonPage, security, tenantFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const Summary = z
  .object({
    bucket: z.string(),
    uniqueUsers: z.int().openapi({ description: 'Distinct customers, exact.' }),
    totalClicks: z.int(),
    totalImpressions: z.int(),
    totalEvents: z.int(),
    byType: z.record(z.string(), z.int()),
  })
  .openapi('ActivitySummary');

const summaryRoute = <Path extends string>(
  path: Path,
  operationId: string,
  bucket: string,
  defaults: string,
) =>
  createRoute({
    method: 'get',
    path,
    operationId,
    tags: ['Summaries'],
    summary: `Activity per ${bucket} (UTC)`,
    description: `Buckets without events are left out. Default range: ${defaults}.`,
    security,
    request: rangeOfTenant({ customerId: id.optional() }),
    responses: { 200: jsonPage(Summary, 'ActivityPage', 'Summaries'), ...tenantFailures },
  });

const getHourly = summaryRoute(
  '/v1/summaries/hourly',
  'hourlySummaries',
  'hour',
  'the last day, from the start of its first hour',
);
const getDaily = summaryRoute(
  '/v1/summaries/daily',
  'dailySummaries',
  'day',
  'the last 30 days, from the start of the first',
);

export function summaryRoutes(app: App, services: Services): void {
  const aheadMs = services.config.ingest.acceptAheadMs;

  app.openapi(getHourly, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const query = c.req.valid('query');
    const range = wholeFrom(query, HOUR_MS, { lengthMs: DAY_MS, aheadMs, maxMs: 366 * DAY_MS });
    return c.json(
      await services.reads.inOneMoment(context, (db) =>
        activitySummaries(db, context, '1h', { ...query, ...range }),
      ),
      200,
    );
  });

  app.openapi(getDaily, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const query = c.req.valid('query');
    const range = wholeFrom(query, DAY_MS, { lengthMs: 30 * DAY_MS, aheadMs, maxMs: 3_660 * DAY_MS });
    return c.json(
      await services.reads.inOneMoment(context, (db) =>
        activitySummaries(db, context, '1d', { ...query, ...range }),
      ),
      200,
    );
  });
}

/** By default the first bucket is a whole one: half of it would tell little, and cost more than all the others. */
function wholeFrom(
  query: { from?: string | undefined; to?: string | undefined },
  bucketMs: number,
  defaults: Parameters<typeof parseRange>[1],
) {
  const { from, to } = parseRange(query, defaults);
  return { from: query.from === undefined ? Math.floor(from / bucketMs) * bucketMs : from, to };
}
