import { createRoute, z } from '@hono/zod-openapi';
import { countRevisions, STRETCHES, type Stretch } from '../../../sums/corrections/countRevisions.ts';
import { REVISION_CAUSES } from '../../../sums/corrections/windowHistory.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { parseRange } from '../range.ts';
import { id, json, pageSchema, security, tenantFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

const HOUR_MS = 3_600_000;

const RevisionCount = z
  .object({
    start: z.string(),
    windows: z.int().openapi({ description: 'Windows of a customer that have changed.' }),
    revisions: z.int(),
    causes: z.partialRecord(z.enum(REVISION_CAUSES), z.int()).openapi({
      description: 'The revisions by their cause; those of none are left out.',
    }),
  })
  .openapi('RevisionCount');

const RevisionCountPage = pageSchema(RevisionCount, 'RevisionCountPage').extend({
  closedUntil: z.string().nullable().openapi({
    description: 'How far windows are closed: those that end by then are. null: none has been yet.',
  }),
});

const getCounts = createRoute({
  method: 'get',
  path: '/v1/windows/history/counts',
  operationId: 'countWindowRevisions',
  tags: ['Corrections'],
  summary: 'How often windows have changed',
  description:
    'The revisions of windows that start in the range, counted by stretches of time, which begin with the epoch; those in which none ' +
    'has changed are left out. Default range: the last hour. At most 31 days.',
  security,
  request: rangeOfTenant({
    customerId: id.optional(),
    granularity: z.enum(Object.keys(STRETCHES) as [Stretch, ...Stretch[]]).default('1m'),
  }),
  responses: { 200: json(RevisionCountPage, 'Counts'), ...tenantFailures },
});

export function revisionCountRoutes(app: App, services: Services): void {
  app.openapi(getCounts, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const query = c.req.valid('query');
    const range = parseRange(query, {
      lengthMs: HOUR_MS,
      aheadMs: services.config.ingest.acceptAheadMs,
      maxMs: 31 * 24 * HOUR_MS,
    });
    return c.json(
      await services.reads.inOneMoment(context, (db) => countRevisions(db, context, { ...query, ...range })),
      200,
    );
  });
}
