import { createRoute, z } from '@hono/zod-openapi';
import { MESSAGE_TYPES } from '../../../outbound/delivery/messageTypes.ts';
import {
  createSubscription,
  deleteSubscription,
  getSubscription,
  listSubscriptions,
  rotateSecret,
  updateSubscription,
} from '../../../outbound/delivery/subscriptions.ts';
import type { App } from '../appEnv.ts';
import { administer, tenantOf } from '../context.ts';
import {
  changeOfTenant,
  createOfTenant,
  deleteOfTenant,
  listOfTenant,
  readOfTenant,
  thingOfTenant,
} from '../ofTenant.ts';
import { refusal } from '../refusal.ts';
import { conflict, id, json, jsonPage, security, text, thingFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

/** Names in one subscription or rule. */
const MAX_CUSTOMERS = 200;

export const customers = z
  .array(id)
  .min(1)
  .max(MAX_CUSTOMERS)
  .nullable()
  .optional()
  .openapi({ description: 'Only of these customers; null or left out: of all.' });

const Subscription = z
  .object({
    id: z.uuid(),
    tenantId: z.string(),
    url: z.string().nullable(),
    stream: z.string().nullable(),
    messageTypes: z.array(z.enum(MESSAGE_TYPES)),
    customers: z.array(z.string()).nullable(),
    description: z.string().nullable(),
    digest: z.boolean(),
    active: z.boolean(),
    disabledAt: z.string().nullable(),
    disabledReason: z
      .string()
      .nullable()
      .openapi({ description: '`by request`, or what its receiver answered.' }),
    previousSecretUntil: z
      .string()
      .nullable()
      .openapi({ description: 'Until when the secret before the last rotation signs as well.' }),
    previousSecretsUntil: z.array(z.string()).optional().openapi({
      description:
        'The same of every secret that signs beside the present one, newest first; left out where there is none.',
    }),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .openapi('Subscription');

const secret = z.string().openapi({
  description: '`whsec_` and base64 (Standard Webhooks): shown here, never again.',
});
const NewSubscription = Subscription.extend({
  secret: secret
    .nullable()
    .openapi({ description: 'Of a webhook; a stream has none. Shown here, never again.' }),
}).openapi('NewSubscription');
const RotatedSubscription = Subscription.extend({ secret }).openapi('RotatedSubscription');

const messageTypes = z.array(z.enum(MESSAGE_TYPES)).min(1).max(MESSAGE_TYPES.length);
const url = text(2_048).openapi({ description: 'A webhook: http or https, without credentials.' });
const stream = z
  .string()
  .regex(/^[A-Za-z0-9:._-]{1,128}$/)
  .openapi({ description: 'The name of a Redis stream.' });
const description = text(1_024).nullable().optional();
const digest = z
  .boolean()
  .optional()
  .openapi({
    description:
      'Whether window.closed and window.revised have the digest of the events of their window, as GET /v1/windows has it ' +
      'with digest=true. Default: false.',
  });

const postSubscription = createRoute({
  path: '/v1/subscriptions',
  operationId: 'createSubscription',
  tags: ['Messages'],
  summary: 'Subscribe to messages',
  description:
    'Sends messages of some types to a webhook or a Redis stream: one of url and stream. It hears of every batch of ' +
    'events that is written after this answer. A webhook is signed as Standard Webhooks has it.',
  ...createOfTenant(
    z
      .strictObject({
        url: url.optional(),
        stream: stream.optional(),
        messageTypes,
        customers,
        description,
        digest,
      })
      .refine(
        ({ url, stream }) => url !== undefined || stream !== undefined,
        refusal('required', 'give one of url and stream'),
      )
      .refine(
        ({ url, stream }) => url === undefined || stream === undefined,
        refusal('not_allowed', 'give one of url and stream'),
      )
      .openapi({ example: { stream: 'tidemark:messages', messageTypes: ['record.processed'] } }),
    json(NewSubscription, 'The subscription with its secret'),
  ),
});

const getSubscriptions = createRoute({
  path: '/v1/subscriptions',
  operationId: 'listSubscriptions',
  tags: ['Messages'],
  summary: 'Subscriptions without their secrets, oldest first',
  ...listOfTenant(jsonPage(Subscription, 'SubscriptionPage', 'Subscriptions')),
});

const getOne = createRoute({
  path: '/v1/subscriptions/{id}',
  operationId: 'getSubscription',
  tags: ['Messages'],
  summary: 'One subscription',
  ...readOfTenant(json(Subscription, 'The subscription')),
});

const patchSubscription = createRoute({
  path: '/v1/subscriptions/{id}',
  operationId: 'updateSubscription',
  tags: ['Messages'],
  summary: 'Change a subscription',
  description: 'What is left out stays. One that was disabled is made active again by `active: true`.',
  ...changeOfTenant(
    z
      .strictObject({
        url: url.optional(),
        messageTypes: messageTypes.optional(),
        customers,
        description,
        digest,
        active: z.boolean().optional(),
      })
      .openapi({
        example: { messageTypes: ['record.processed', 'usage.threshold'], customers: ['acme'] },
      }),
    json(Subscription, 'The subscription'),
  ),
});

const removeSubscription = createRoute({
  path: '/v1/subscriptions/{id}',
  operationId: 'deleteSubscription',
  tags: ['Messages'],
  summary: 'Delete a subscription',
  description: 'Nothing more is sent. What was sent stays in the list of its deliveries.',
  ...deleteOfTenant,
});

const postRotation = createRoute({
  method: 'post',
  path: '/v1/subscriptions/{id}/rotate-secret',
  operationId: 'rotateSecret',
  tags: ['Messages'],
  summary: 'Replace the secret of a webhook',
  description:
    'Messages carry a signature of the new secret, and one of each before, for 24 hours from its replacement. So a call ' +
    'that is repeated, because its answer was lost, cuts no receiver off. While ten sign beside the present one, another ' +
    'rotation is refused (409 secret_not_rotatable).',
  security,
  request: thingOfTenant,
  responses: {
    201: json(RotatedSubscription, 'The subscription with its new secret'),
    ...thingFailures,
    ...conflict('Ten secrets sign beside the present one'),
  },
});

export function subscriptionRoutes(app: App, services: Services): void {
  const { admin, endpointCheck } = services;

  app.openapi(postSubscription, async (c) => {
    const { context, actor } = await administer(c, services);
    return c.json(await createSubscription(admin, context, c.req.valid('json'), endpointCheck, actor), 201);
  });

  app.openapi(getSubscriptions, async (c) => {
    const context = await tenantOf(c, services, 'admin');
    return c.json(await listSubscriptions(admin, context, c.req.valid('query')), 200);
  });

  app.openapi(getOne, async (c) => {
    const context = await tenantOf(c, services, 'admin');
    return c.json(await getSubscription(admin, context, c.req.valid('param').id), 200);
  });

  app.openapi(patchSubscription, async (c) => {
    const { context, actor } = await administer(c, services);
    const { id: subscriptionId } = c.req.valid('param');
    const changes = c.req.valid('json');
    return c.json(
      await updateSubscription(admin, context, subscriptionId, changes, endpointCheck, actor),
      200,
    );
  });

  app.openapi(removeSubscription, async (c) => {
    const { context, actor } = await administer(c, services);
    await deleteSubscription(admin, context, c.req.valid('param').id, actor);
    return c.body(null, 204);
  });

  app.openapi(postRotation, async (c) => {
    const { context, actor } = await administer(c, services);
    return c.json(await rotateSecret(admin, context, c.req.valid('param').id, actor), 201);
  });
}
