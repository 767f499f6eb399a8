import { createRoute, z } from '@hono/zod-openapi';
import { readSession } from '../../../sums/rollups/readSession.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { id, json, security, tenantHeader, thingFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

const sums = {
  events: z.int(),
  value: z.string().openapi({ description: 'Exact decimal.' }),
  tokens: z.int(),
};

const Session = z
  .object({
    id: z.string(),
    ...sums,
    first: z.string(),
    last: z.string(),
    durationMs: z.number().openapi({ description: 'From the first event to the last.' }),
    byType: z.record(z.string(), z.object(sums)),
    uniqueCustomers: z.int(),
    customers: z.array(z.string()).openapi({ description: 'The first 100, in order of their ids.' }),
  })
  .openapi('Session');

const getSession = createRoute({
  method: 'get',
  path: '/v1/sessions/{id}',
  operationId: 'readSession',
  tags: ['Summaries'],
  summary: 'Totals of one session',
  description:
    'Of all events that were posted with this sessionId or reference: an order, an invoice, a session. Over all time, ' +
    'and exact: whatever was acknowledged before is in it.',
  security,
  request: { headers: tenantHeader, params: z.object({ id }) },
  responses: { 200: json(Session, 'The totals'), ...thingFailures },
});

export function sessionRoutes(app: App, services: Services): void {
  app.openapi(getSession, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { id: reference } = c.req.valid('param');
    return c.json(
      await services.reads.inOneMoment(context, (db) => readSession(db, context, reference)),
      200,
    );
  });
}
