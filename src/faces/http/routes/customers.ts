import { createRoute, z } from '@hono/zod-openapi';
import { getCustomer, listCustomers, updateCustomer } from '../../../access/tenancy/customers.ts';
import type { App } from '../appEnv.ts';
import { administer, tenantOf } from '../context.ts';
import { listOfTenant } from '../ofTenant.ts';
import {
  bodyFailures,
  id,
  json,
  jsonBody,
  jsonPage,
  security,
  tenantHeader,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const Customer = z
  .object({
    tenantId: z.string(),
    customerId: z.string(),
    name: z.string().nullable(),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .openapi('Customer');

const getCustomers = createRoute({
  path: '/v1/customers',
  operationId: 'listCustomers',
  tags: ['Administration'],
  summary: 'Customers by id',
  description: 'A customer registers itself with its first event.',
  ...listOfTenant(jsonPage(Customer, 'CustomerPage', 'Customers')),
});

const getOne = createRoute({
  method: 'get',
  path: '/v1/customers/{id}',
  operationId: 'getCustomer',
  tags: ['Administration'],
  summary: 'One customer',
  security,
  request: { headers: tenantHeader, params: z.object({ id }) },
  responses: { 200: json(Customer, 'The customer'), ...thingFailures },
});

const patchCustomer = createRoute({
  method: 'patch',
  path: '/v1/customers/{id}',
  operationId: 'updateCustomer',
  tags: ['Administration'],
  summary: 'Name a customer',
  security,
  request: {
    headers: tenantHeader,
    params: z.object({ id }),
    body: jsonBody(z.strictObject({ name: id.nullable() }).openapi({ example: { name: 'Acme Inc.' } })),
  },
  responses: { 200: json(Customer, 'The customer'), ...thingFailures, ...bodyFailures },
});

export function customerRoutes(app: App, services: Services): void {
  app.openapi(getCustomers, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(await listCustomers(services.reads.as(context), context, c.req.valid('query')), 200);
  });

  app.openapi(getOne, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { id: customerId } = c.req.valid('param');
    return c.json(await getCustomer(services.reads.as(context), context, customerId), 200);
  });

  app.openapi(patchCustomer, async (c) => {
    const { context, actor } = await administer(c, services);
    const { id: customerId } = c.req.valid('param');
    const changes = c.req.valid('json');
    return c.json(await updateCustomer(services.admin, context, customerId, changes, actor), 200);
  });
}
