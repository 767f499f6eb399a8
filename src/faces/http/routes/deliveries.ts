import { createRoute, z } from '@hono/zod-openapi';
import { DELIVERY_STATES, listDeliveries } from '../../../outbound/delivery/deliveries.ts';
import { getDelivery } from '../../../outbound/delivery/getDelivery.ts';
import { MAX_REDELIVERED, redeliver, redeliverDead } from '../../../outbound/delivery/redeliver.ts';
import { testSubscription } from '../../../outbound/delivery/testSubscription.ts';
import type { App } from '../appEnv.ts';
import { administer, tenantOf } from '../context.ts';
import { thingOfTenant } from '../ofTenant.ts';
import {
  conflict,
  json,
  jsonPage,
  pageQuery,
  security,
  tenantHeader,
  text,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const attempt = {
  at: z.string(),
  status: z.int().nullable().openapi({ description: 'HTTP status; null: no answer, or a stream.' }),
  error: z.string().nullable(),
  durationMs: z.int(),
};
const fields = {
  id: z.uuid(),
  subscriptionId: z.uuid(),
  messageId: z.uuid().openapi({ description: 'The webhook-id, the same on every attempt.' }),
  type: z.string(),
  customerId: z.string().nullable(),
  state: z.enum(DELIVERY_STATES),
  attempts: z.int().openapi({ description: 'Since it last became pending.' }),
  nextAttemptAt: z.string().nullable().openapi({
    description:
      'Not before; it also waits for those of the same customer that are ahead of it, and for its endpoint.',
  }),
  lastStatus: z.int().nullable(),
  lastError: z.string().nullable(),
  createdAt: z.string(),
  deliveredAt: z.string().nullable(),
};

const DeliverySummary = z
  .object({
    ...fields,
    attemptLog: z.array(z.object(attempt)).openapi({ description: 'The last 10 attempts, oldest first.' }),
  })
  .openapi('Delivery');

const DeliveryDetails = z
  .object({
    ...fields,
    message: z.string().openapi({ description: 'The JSON that is sent, to the byte.' }),
    attemptLog: z
      .array(z.object({ ...attempt, response: z.string().nullable() }))
      .openapi({ description: 'The last 50 attempts, oldest first, with up to 1 KiB of each answer.' }),
  })
  .openapi('DeliveryDetails');

const TestOutcome = z
  .object({
    messageId: z.uuid(),
    delivered: z.boolean(),
    status: z.int().nullable(),
    error: z.string().nullable(),
    response: z.string().nullable(),
    durationMs: z.int(),
  })
  .openapi('TestOutcome');

const deliveryOfTenant = { headers: tenantHeader, params: z.object({ id: z.uuid(), deliveryId: z.uuid() }) };
const inactive = conflict('The subscription is not active');
const tags = ['Messages'];

const getDeliveries = createRoute({
  method: 'get',
  path: '/v1/subscriptions/{id}/deliveries',
  operationId: 'listDeliveries',
  tags,
  summary: 'Deliveries of a subscription, newest first',
  description: 'state=dead is the dead-letter list. Delivered ones are kept for 7 days, dead ones for 30.',
  security,
  request: {
    ...thingOfTenant,
    query: z.strictObject({
      state: z.enum(DELIVERY_STATES).optional(),
      type: text(64).optional(),
      ...pageQuery(50, 200),
    }),
  },
  responses: {
    200: jsonPage(DeliverySummary, 'DeliveryPage', 'Deliveries'),
    ...thingFailures,
  },
});

const getOne = createRoute({
  method: 'get',
  path: '/v1/subscriptions/{id}/deliveries/{deliveryId}',
  operationId: 'getDelivery',
  tags,
  summary: 'A delivery with its message and attempts',
  security,
  request: deliveryOfTenant,
  responses: { 200: json(DeliveryDetails, 'The delivery'), ...thingFailures },
});

const postRedelivery = createRoute({
  method: 'post',
  path: '/v1/subscriptions/{id}/deliveries/{deliveryId}/redeliver',
  operationId: 'redeliver',
  tags,
  summary: 'Send a delivery again',
  description:
    'Dead or delivered, it becomes pending with the whole schedule ahead of it; pending, it is tried now. It keeps its message id.',
  security,
  request: deliveryOfTenant,
  responses: { 200: json(DeliveryDetails, 'The delivery'), ...thingFailures, ...inactive },
});

const postRedeliveries = createRoute({
  method: 'post',
  path: '/v1/subscriptions/{id}/redeliver',
  operationId: 'redeliverDead',
  tags,
  summary: 'Send what is dead again',
  description: `Up to ${MAX_REDELIVERED} deliveries, oldest first; call it again while more is true.`,
  security,
  request: thingOfTenant,
  responses: {
    200: json(
      z.object({ redelivered: z.int(), more: z.boolean() }).openapi('Redelivery'),
      'How many became pending, and whether there may be more',
    ),
    ...thingFailures,
    ...inactive,
  },
});

const postTest = createRoute({
  method: 'post',
  path: '/v1/subscriptions/{id}/test',
  operationId: 'testSubscription',
  tags,
  summary: 'Send a test message now',
  description:
    'One attempt with a message of the type test, signed like any other. The answer says what came of it.',
  security,
  request: thingOfTenant,
  responses: { 200: json(TestOutcome, 'What came of it'), ...thingFailures },
});

export function deliveryRoutes(app: App, services: Services): void {
  const { admin } = services;

  app.openapi(getDeliveries, async (c) => {
    const { tenantId } = await tenantOf(c, services, 'admin');
    return c.json(await listDeliveries(admin, tenantId, c.req.valid('param').id, c.req.valid('query')), 200);
  });

  app.openapi(getOne, async (c) => {
    const { tenantId } = await tenantOf(c, services, 'admin');
    const { id, deliveryId } = c.req.valid('param');
    return c.json(await getDelivery(admin, tenantId, id, deliveryId), 200);
  });

  app.openapi(postRedelivery, async (c) => {
    const { context, actor } = await administer(c, services);
    const { id, deliveryId } = c.req.valid('param');
    await redeliver(admin, context.tenantId, id, deliveryId, actor);
    return c.json(await getDelivery(admin, context.tenantId, id, deliveryId), 200);
  });

  app.openapi(postRedeliveries, async (c) => {
    const { context, actor } = await administer(c, services);
    const redelivered = await redeliverDead(admin, context.tenantId, c.req.valid('param').id, actor);
    return c.json({ redelivered, more: redelivered === MAX_REDELIVERED }, 200);
  });

  app.openapi(postTest, async (c) => {
    const { tenantId } = await tenantOf(c, services, 'admin');
    const { id } = c.req.valid('param');
    return c.json(await testSubscription(admin, services.delivery, tenantId, id), 200);
  });
}
