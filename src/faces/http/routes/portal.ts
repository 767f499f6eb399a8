import { createRoute, z } from '@hono/zod-openapi';
import { requirePortalUsage } from '../../../access/tenancy/portalCaller.ts';
import { listMeters } from '../../../sums/meters/catalog/listMeters.ts';
import type { Meter } from '../../../sums/meters/catalog/meter.ts';
import { AGGREGATIONS } from '../../../sums/meters/definition/meterDefinition.ts';
import { answerMeter, meterAnswer, ownMeterParameters } from '../answerMeter.ts';
import { answerUsage, ownUsageParameters, usageAnswer } from '../answerUsage.ts';
import type { App } from '../appEnv.ts';
import { findPortalMeter, portalOf } from '../portal.ts';
import { failures, jsonPage, pageQuery, problemAnswer, text } from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Portal'];
/** Of routes that a portal token opens, and a key does not. */
const security = [{ portal: [] }];

const portalFailures = {
  ...failures,
  401: problemAnswer('No portal token, or one that is unknown, revoked or expired'),
  403: problemAnswer('The portal token is not for this, or its tenant is inactive'),
};

const PortalMeter = z
  .object({
    slug: z.string(),
    name: z.string(),
    description: z.string().nullable(),
    aggregation: z.enum(AGGREGATIONS),
    dimensions: z.array(z.string()).openapi({ description: 'Names, by which numbers can be told apart.' }),
  })
  .openapi('PortalMeter');

const getUsage = createRoute({
  method: 'get',
  path: '/v1/portal/usage',
  operationId: 'portalUsage',
  tags,
  summary: "The customer's own usage over time",
  description:
    'As GET /v1/usage, of the customer whose portal token it is. A token that names meters has it only where it was made with ' +
    'usage=true; cost=true needs one that was made with costs=true.',
  security,
  request: { query: z.strictObject(ownUsageParameters) },
  responses: { 200: usageAnswer, ...portalFailures },
});

const getMeters = createRoute({
  method: 'get',
  path: '/v1/portal/meters',
  operationId: 'listPortalMeters',
  tags,
  summary: 'The meters that the portal token may read, oldest first',
  security,
  request: { query: z.strictObject(pageQuery(100, 1_000)) },
  responses: { 200: jsonPage(PortalMeter, 'PortalMeterPage', 'Meters'), ...portalFailures },
});

const getMeter = createRoute({
  method: 'get',
  path: '/v1/portal/meters/{slug}',
  operationId: 'queryPortalMeter',
  tags,
  summary: "The customer's own numbers of a meter",
  description:
    'As GET /v1/meters/{slug}/query, of the customer whose portal token it is. A meter that the token may not read, that is ' +
    'archived and that there never was are answered alike: 404.',
  security,
  request: { params: z.object({ slug: text(64) }), query: z.object(ownMeterParameters) },
  responses: { 200: meterAnswer, ...portalFailures, 404: problemAnswer('There is no such meter') },
});

/** What a customer reads by itself, with a portal token: the verbs of the tenant's routes, for that customer alone. */
export function portalRoutes(app: App, services: Services): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'portal', {
    type: 'http',
    scheme: 'bearer',
    description: 'A portal token: tmp_…',
  });

  app.openapi(getUsage, async (c) => {
    const { caller, context } = portalOf(c);
    const query = c.req.valid('query');
    requirePortalUsage(caller, query.cost === 'true');
    return answerUsage(c, services, context, query, caller.customerId) as never;
  });

  app.openapi(getMeters, async (c) => {
    const { caller, context } = portalOf(c);
    const slugs = caller.meters && [...caller.meters];
    const page = await listMeters(services.admin, context, { ...c.req.valid('query'), slugs });
    return c.json({ data: page.data.map(toPortalMeter), nextCursor: page.nextCursor }, 200);
  });

  // By hand, since the names of its filters are the meter's.
  app.openAPIRegistry.registerPath(getMeter);
  app.get('/v1/portal/meters/:slug', async (c) => {
    const asks = portalOf(c);
    const meter = await findPortalMeter(services, asks, c.req.param('slug'));
    return answerMeter(c, services, asks.context, meter, asks.caller.customerId);
  });
}

/** Neither where its numbers come from, nor how far it is filled. */
function toPortalMeter({ slug, name, description, definition }: Meter): z.infer<typeof PortalMeter> {
  const { aggregation, dimensions } = definition;
  return { slug, name, description, aggregation, dimensions: Object.keys(dimensions) };
}
