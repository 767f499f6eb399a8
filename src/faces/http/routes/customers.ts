import { createRoute, z } from '@hono/zod-openapi';
import { listCustomers, updateCustomer } from '../../../access/tenancy/customers.ts';
import { actorOf } from '../actor.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import {
  bodyFailures,
  failures,
  id,
  json,
  notFound,
  pageQuery,
  pageSchema,
  security,
  tenantFailures,
  tenantHeader,
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
  method: 'get',
  path: '/v1/customers',
  operationId: 'listCustomers',
  tags: ['Administration'],
  summary: 'Customers by id',
  description: 'A customer registers itself with its first event.',
  security,
  request: { headers: tenantHeader, query: z.strictObject(pageQuery(100, 1_000)) },
  responses: { 200: json(pageSchema(Customer, 'CustomerPage'), 'Customers'), ...tenantFailures },
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
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z.strictObject({ name: id.nullable() }).openapi({ example: { name: 'Acme Inc.' } }),
        },
      },
    },
  },
  responses: { 200: json(Customer, 'The customer'), ...failures, ...notFound, ...bodyFailures },
});

export function customerRoutes(app: App, services: Services): void {
  app.openapi(getCustomers, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(await listCustomers(services.reads.as(context), context, c.req.valid('query')), 200);
  });

  app.openapi(patchCustomer, async (c) => {
    const context = await tenantOf(c, services, 'admin');
    const { id: customerId } = c.req.valid('param');
    const customer = await updateCustomer(
      services.admin,
      context,
      customerId,
      c.req.valid('json'),
      actorOf(c, services),
    );
    return c.json(customer, 200);
  });
}
