import { createRoute, z } from '@hono/zod-openapi';
import { requirePlatform } from '../../../access/tenancy/caller.ts';
import { createTenant, listTenants, updateTenant } from '../../../access/tenancy/tenants.ts';
import { actorOf } from '../actor.ts';
import type { App } from '../appEnv.ts';
import {
  bodyFailures,
  conflict,
  failures,
  id,
  json,
  jsonBody,
  jsonPage,
  pageQuery,
  security,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const Tenant = z
  .object({
    id: z.string(),
    name: z.string(),
    active: z.boolean(),
    requestsPerSecond: z.int().nullable().openapi({
      description: 'Its requests/s; null: the default of the service; 0: without limit.',
    }),
    eventsPerSecond: z.int().nullable().openapi({ description: 'The same for events/s.' }),
    otlpCustomerAttributes: z.array(z.string()).nullable().openapi({
      description:
        'Attributes of spans, or of their resource, in which its customers are, the first one that is there; null: the usual ones.',
    }),
    otlpDefaultCustomerId: z.string().nullable().openapi({
      description: 'The customer of calls received by OTLP that name none; null: those are refused.',
    }),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .openapi('Tenant');

/** As a tenant may be given them. */
const rate = z.int().min(0).max(1_000_000_000).nullable().optional();
const settings = {
  requestsPerSecond: rate,
  eventsPerSecond: rate,
  otlpCustomerAttributes: z.array(id).min(1).max(20).nullable().optional(),
  otlpDefaultCustomerId: id.nullable().optional(),
};

const postTenant = createRoute({
  method: 'post',
  path: '/v1/tenants',
  operationId: 'createTenant',
  tags: ['Administration'],
  summary: 'Create a tenant',
  security,
  request: {
    body: jsonBody(
      z
        .strictObject({ id, name: id, ...settings })
        .openapi({ example: { id: 'acme', name: 'Acme Inc.', eventsPerSecond: 5_000 } }),
    ),
  },
  responses: {
    201: json(Tenant, 'The tenant'),
    ...failures,
    ...bodyFailures,
    ...conflict('The id is taken'),
  },
});

const getTenants = createRoute({
  method: 'get',
  path: '/v1/tenants',
  operationId: 'listTenants',
  tags: ['Administration'],
  summary: 'Tenants by id',
  security,
  request: { query: z.strictObject(pageQuery(100, 1_000)) },
  responses: { 200: jsonPage(Tenant, 'TenantPage', 'Tenants'), ...failures },
});

const patchTenant = createRoute({
  method: 'patch',
  path: '/v1/tenants/{id}',
  operationId: 'updateTenant',
  tags: ['Administration'],
  summary: 'Rename a tenant, make it active or inactive, or set its limits',
  description:
    'The keys of an inactive tenant are refused within five seconds by every instance, and limits hold as soon.',
  security,
  request: {
    params: z.object({ id }),
    body: jsonBody(
      z
        .strictObject({ name: id.optional(), active: z.boolean().optional(), ...settings })
        .openapi({ example: { active: false } }),
    ),
  },
  responses: { 200: json(Tenant, 'The tenant'), ...thingFailures, ...bodyFailures },
});

export function tenantRoutes(app: App, services: Services): void {
  const { admin, tenants, authenticator, portalAuthenticator } = services;
  app.openapi(postTenant, async (c) => {
    requirePlatform(c.get('caller'));
    const tenant = await createTenant(admin, c.req.valid('json'), actorOf(c, services));
    tenants.forget(tenant.id);
    return c.json(tenant, 201);
  });

  app.openapi(getTenants, async (c) => {
    requirePlatform(c.get('caller'));
    return c.json(await listTenants(admin, c.req.valid('query')), 200);
  });

  app.openapi(patchTenant, async (c) => {
    requirePlatform(c.get('caller'));
    const { id: tenantId } = c.req.valid('param');
    const tenant = await updateTenant(admin, tenantId, c.req.valid('json'), actorOf(c, services));
    tenants.forget(tenant.id);
    authenticator.forget();
    portalAuthenticator.forget();
    return c.json(tenant, 200);
  });
}
