import { createRoute, z } from '@hono/zod-openapi';
import { TidemarkError } from '../../../model/errors.ts';
import { listClosedWindows } from '../../../sums/rollups/listClosedWindows.ts';
import { listWindows } from '../../../sums/rollups/listWindows.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { instantOf, parseOpenRange, parseRange } from '../range.ts';
import { id, json, pageSchema, security, tenantFailures, windowSums } from '../schemas.ts';
import type { Services } from '../services.ts';

const HOUR_MS = 3_600_000;

const Window = z
  .object({
    windowStart: z.string(),
    windowEnd: z.string(),
    tenantId: z.string(),
    customerId: z.string(),
    state: z.enum(['open', 'closed', 'revised']).openapi({
      description: 'closed: final. revised: late events or corrections have changed it.',
    }),
    revision: z.int().openapi({ description: 'How often late events and corrections have changed it.' }),
    aggregations: z.object({
      ...windowSums,
    }),
  })
  .openapi('Window');

const WindowPage = pageSchema(Window, 'WindowPage').extend({
  closedThrough: z.string().optional().openapi({
    description: 'With closedAfter: what to pass as closedAfter next time, once the last page has been read.',
  }),
});

const getWindows = createRoute({
  method: 'get',
  path: '/v1/windows',
  operationId: 'listWindows',
  tags: ['Summaries'],
  summary: '30-second summaries per customer',
  description:
    'Windows with events that start in the range, by start and customer; also those all of whose events are void, with ' +
    'sums of zero. Default range: the last hour. ' +
    'To follow what becomes final, poll with closedAfter: the answer has every window that has closed, or was ' +
    'revised, since then, and closedThrough for the next poll. A revision is given out when the next window closes.',
  security,
  request: rangeOfTenant({
    customerId: id.optional(),
    state: z.enum(['open', 'closed', 'revised']).optional().openapi({
      description:
        'open; closed: all that are no longer open, revised or not; revised: only those that have changed since.',
    }),
    closedAfter: z
      .string()
      .max(64)
      .optional()
      .openapi({
        format: 'date-time',
        description:
          'Only windows that closed or changed after this moment: the closedThrough of the poll before. The range is ' +
          'then unbounded unless from or to are given.',
      }),
  }),
  responses: { 200: json(WindowPage, 'Windows'), ...tenantFailures },
});

export function windowRoutes(app: App, services: Services): void {
  app.openapi(getWindows, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { closedAfter, state, ...query } = c.req.valid('query');
    if (closedAfter === undefined) {
      const range = parseRange(query, {
        lengthMs: HOUR_MS,
        aheadMs: services.config.ingest.acceptAheadMs,
        maxMs: 31 * 24 * HOUR_MS,
      });
      return c.json(
        await services.reads.inOneMoment(context, (db) =>
          listWindows(db, context, { ...query, ...range, state }),
        ),
        200,
      );
    }
    if (state === 'open') {
      throw new TidemarkError(
        'invalid_request',
        'an open window has not closed: closedAfter needs another state',
      );
    }
    const since = { closedAfter: instantOf('closedAfter', closedAfter), state: state ?? 'closed' };
    const { from, to } = parseOpenRange(query);
    const range = { from: query.from === undefined ? undefined : from, to };
    return c.json(
      await services.reads.inOneMoment(context, (db) =>
        listClosedWindows(db, context, { ...query, ...range, ...since }),
      ),
      200,
    );
  });
}
