import { createRoute, z } from '@hono/zod-openapi';
import {
  createPortalToken,
  listPortalTokens,
  MOST_PORTAL_METERS,
  PORTAL_LIFE_S,
  PORTAL_TOKEN_STATES,
  revokePortalTokens,
} from '../../../access/tenancy/portalTokens.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { missingMeters } from '../../../sums/meters/catalog/missingMeters.ts';
import { MAX_SLUG, SLUG } from '../../../sums/meters/catalog/newMeter.ts';
import { actorOf } from '../actor.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { deleteOfTenant } from '../ofTenant.ts';
import { refusal } from '../refusal.ts';
import {
  bodyFailures,
  id,
  json,
  jsonBody,
  jsonPage,
  pageQuery,
  security,
  tenantFailures,
  tenantHeader,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Portal'];

const PortalToken = z
  .object({
    id: z.uuid(),
    customerId: z.string(),
    meters: z.array(z.string()).nullable().openapi({ description: 'Slugs; null: all.' }),
    usage: z.boolean().openapi({ description: 'Whether it reads GET /v1/portal/usage.' }),
    costs: z.boolean().openapi({ description: 'Whether it reads costs there.' }),
    state: z.enum(PORTAL_TOKEN_STATES),
    keyId: z.string().nullable().openapi({
      description: 'The key that made it, and with which it ends; null: ADMIN_KEY.',
    }),
    expiresAt: z.string(),
    lastUsedAt: z.string().nullable(),
    revokedAt: z.string().nullable().openapi({ description: 'When it was revoked, or its key.' }),
    createdAt: z.string(),
  })
  .openapi('PortalToken');

const NewPortalToken = PortalToken.extend({
  token: z.string().openapi({ description: 'The secret: shown here, never again.' }),
}).openapi('NewPortalToken');

const postToken = createRoute({
  method: 'post',
  path: '/v1/portal-tokens',
  operationId: 'createPortalToken',
  tags,
  summary: 'Make a portal token',
  description:
    'For one customer, to read its own numbers and nothing else under /v1/portal. It ends by itself, with the key that made it ' +
    'and when it is revoked. The customer need not have events yet. See docs/portal.md.',
  security,
  request: {
    headers: tenantHeader,
    body: jsonBody(
      z
        .strictObject({
          customerId: id,
          meters: z
            .array(z.string().max(MAX_SLUG).regex(SLUG))
            .min(1)
            .max(MOST_PORTAL_METERS)
            .optional()
            .openapi({ description: 'Slugs of live meters: it reads no others. Left out: all.' }),
          usage: z.boolean().optional().openapi({
            description:
              'Whether it reads GET /v1/portal/usage. Left out: only where meters is left out too.',
          }),
          costs: z
            .boolean()
            .default(false)
            .openapi({ description: 'Whether it reads there what the AI calls cost.' }),
          expiresIn: z
            .int()
            .min(PORTAL_LIFE_S.min)
            .max(PORTAL_LIFE_S.max)
            .default(PORTAL_LIFE_S.default)
            .openapi({ description: 'Seconds.' }),
        })
        .refine(({ meters, usage, costs }) => !costs || (usage ?? meters === undefined), {
          ...refusal('not_allowed', 'costs are of usage, which the token is not to read'),
          path: ['costs'],
        })
        .openapi({ example: { customerId: 'acme', meters: ['egress_gb'], expiresIn: 3_600 } }),
    ),
  },
  responses: { 201: json(NewPortalToken, 'The token with its secret'), ...tenantFailures, ...bodyFailures },
});

const getTokens = createRoute({
  method: 'get',
  path: '/v1/portal-tokens',
  operationId: 'listPortalTokens',
  tags,
  summary: 'Portal tokens without their secrets, oldest first',
  description: 'Those that ended are listed for 30 days after they would have by themselves.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      customerId: id.optional(),
      state: z.enum(PORTAL_TOKEN_STATES).optional(),
      ...pageQuery(100, 1_000),
    }),
  },
  responses: { 200: jsonPage(PortalToken, 'PortalTokenPage', 'Tokens'), ...tenantFailures },
});

const deleteToken = createRoute({
  ...deleteOfTenant,
  path: '/v1/portal-tokens/{id}',
  operationId: 'revokePortalToken',
  tags,
  summary: 'Revoke a portal token',
  description: 'For good; every instance refuses it within five seconds.',
  responses: { ...deleteOfTenant.responses, 204: { description: 'Revoked' } },
});

/*
 * For keys that may read: a token says nothing that its key could not read, ends with it, and goes to a browser. A service
 * that shows customers their usage needs no key that may administer.
 */
export function portalTokenRoutes(app: App, services: Services): void {
  const { admin, portalAuthenticator } = services;

  app.openapi(postToken, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { meters, usage = meters === undefined, expiresIn, ...token } = c.req.valid('json');
    const slugs = meters === undefined ? null : [...new Set(meters)];
    const [missing] = slugs === null ? [] : await missingMeters(admin, context, slugs);
    if (missing !== undefined) throw unknownMeter(missing, meters!.indexOf(missing));
    const wanted = { ...token, meters: slugs, usage, expires: { inSeconds: expiresIn } };
    return c.json(await createPortalToken(admin, context, wanted, actorOf(c, services)), 201);
  });

  app.openapi(getTokens, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(await listPortalTokens(admin, context, c.req.valid('query')), 200);
  });

  app.openapi(deleteToken, async (c) => {
    const context = await tenantOf(c, services, 'read');
    await revokePortalTokens(admin, context, { id: c.req.valid('param').id }, actorOf(c, services));
    portalAuthenticator.forget();
    return c.body(null, 204);
  });
}

function unknownMeter(slug: string, index: number): TidemarkError {
  const message = `there is no meter ${slug}`;
  return new TidemarkError('invalid_request', `meters: ${message}`, {
    errors: [{ index: 0, pointer: `/meters/${index}`, code: 'unknown_meter', message }],
  });
}
