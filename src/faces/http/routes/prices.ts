import { createRoute, z } from '@hono/zod-openapi';
import { endPrice } from '../../../sums/costs/catalog/endPrice.ts';
import { getPrice } from '../../../sums/costs/catalog/getPrice.ts';
import { listPrices } from '../../../sums/costs/catalog/listPrices.ts';
import { MOST_PRICES_SENT, PER, requireNewPrices } from '../../../sums/costs/catalog/newPrice.ts';
import { CURRENCY, MATCHES, priceJson } from '../../../sums/costs/catalog/price.ts';
import { putPrices } from '../../../sums/costs/catalog/putPrices.ts';
import { requireEnd } from '../../../sums/costs/catalog/requireEnd.ts';
import { PRICED } from '../../../sums/costs/rating/unitPrices.ts';
import { MAX_PROVIDER } from '../../../sums/meters/definition/usageSeries.ts';
import type { App } from '../appEnv.ts';
import { administer, tenantOf } from '../context.ts';
import { priceVersionFields } from '../costSchemas.ts';
import { invalidRequest } from '../invalidRequest.ts';
import { readOfTenant, thingOfTenant } from '../ofTenant.ts';
import { momentOf } from '../range.ts';
import { readJson } from '../readJson.ts';
import {
  bodyFailures,
  conflict,
  id,
  json,
  jsonPage,
  pageQuery,
  security,
  tenantFailures,
  tenantHeader,
  text,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Prices and costs'];
const model = id.openapi({
  description: 'The whole name of a model, or with match: prefix what it begins with.',
});
const match = z.enum(MATCHES);
const currency = z.string().regex(CURRENCY).openapi({ description: 'ISO 4217.', example: 'USD' });
const overlaps = conflict(
  'Two prices of the same would be in force at a time (price_overlaps), what is to be superseded is already (price_superseded), ' +
    'or the tenant has as many as it may have',
);

const Price = z
  .object({
    id: z.uuid(),
    model: z.string(),
    match,
    provider: z.string().nullable(),
    currency: z.string(),
    effectiveFrom: z.string().nullable().openapi({ description: 'null: since ever.' }),
    effectiveTo: z.string().nullable().openapi({ description: 'The first moment after it; null: no end.' }),
    unitPrices: z.object(Object.fromEntries(PRICED.map((unit) => [unit, z.string().optional()]))).openapi({
      description: 'Exact decimals: of one token of each kind, and of a call.',
    }),
    supersedes: z.uuid().nullable().openapi({ description: 'The price that this one took the place of.' }),
    version: z.int().openapi({ description: 'Of the list, with which it came.' }),
    createdAt: z.string(),
    supersededIn: z.int().nullable().openapi({ description: 'The first version that goes without it.' }),
    supersededAt: z.string().nullable(),
  })
  .openapi('Price');

const unitPrice = z.union([z.string(), z.number()]);
const NewPrice = z
  .object({
    model,
    match: match.default('exact'),
    provider: id
      .nullable()
      .optional()
      .openapi({ description: 'Only of this provider; left out: of whichever.' }),
    currency,
    effectiveFrom: z.string().nullable().optional().openapi({ description: 'Left out: since ever.' }),
    effectiveTo: z.string().nullable().optional().openapi({ description: 'Left out: no end.' }),
    unitPrices: z.object(Object.fromEntries(PRICED.map((unit) => [unit, unitPrice.optional()]))).openapi({
      description:
        'At least one: of tokens by kind, and of a call. cachedInput, cacheWrite and audioInput that are left out cost what input ' +
        'costs, reasoning and audioOutput what output costs.',
    }),
    per: z
      .enum(Object.keys(PER) as [keyof typeof PER])
      .default('token')
      .openapi({ description: 'How many tokens the prices of tokens are for. That of a call is for one.' }),
    supersedes: z.uuid().nullable().optional().openapi({
      description: 'The price that this one corrects: what it covered is rated by this one from now on.',
    }),
  })
  .openapi('NewPrice');

const example = {
  model: 'gpt-4o',
  provider: 'openai',
  currency: 'USD',
  per: 'million',
  unitPrices: { input: '2.50', cachedInput: '1.25', output: '10' },
};

const PricesMade = z
  .object({ ...priceVersionFields, data: z.array(Price) })
  .openapi('PricesMade', { description: 'The prices in the order in which they were sent.' });

const postPrices = createRoute({
  method: 'post',
  path: '/v1/prices',
  operationId: 'createPrices',
  tags,
  summary: 'Add prices',
  description:
    `One, or a list of up to ${MOST_PRICES_SENT}: all of them or none, as the next version of the list. Prices are never changed: one ` +
    'that supersedes another takes its place, for the past that it covers too. The first price has all AI usage added up, that ' +
    'of the past too. See docs/costs.md.',
  security,
  request: {
    headers: tenantHeader,
    body: {
      required: true,
      content: { 'application/json': { schema: z.union([NewPrice, z.array(NewPrice)]), example } },
    },
  },
  responses: {
    201: json(PricesMade, 'The prices, and the version that has them'),
    ...tenantFailures,
    ...bodyFailures,
    ...overlaps,
  },
});

const getPrices = createRoute({
  method: 'get',
  path: '/v1/prices',
  operationId: 'listPrices',
  tags,
  summary: 'Prices, oldest first',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      model: id.optional(),
      provider: text(MAX_PROVIDER).optional(),
      currency: currency.optional(),
      at: z
        .string()
        .max(64)
        .optional()
        .openapi({ format: 'date-time', description: 'Only those in force at this moment.' }),
      superseded: z
        .enum(['true', 'false'])
        .default('false')
        .openapi({ description: 'Also those that others have taken the place of.' }),
      ...pageQuery(100, 1_000),
    }),
  },
  responses: { 200: jsonPage(Price, 'PricePage', 'Prices'), ...tenantFailures },
});

const getOne = createRoute({
  path: '/v1/prices/{id}',
  operationId: 'getPrice',
  tags,
  summary: 'One price, also where another has taken its place',
  ...readOfTenant(json(Price, 'The price')),
});

const postEnd = createRoute({
  method: 'post',
  path: '/v1/prices/{id}/end',
  operationId: 'endPrice',
  tags,
  summary: 'Have a price end',
  description:
    'Once, where it has no end. What takes its place is the same with an end, and has an id of its own.',
  security,
  request: {
    ...thingOfTenant,
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z.object({ effectiveTo: z.string() }).openapi('PriceEnd'),
          example: { effectiveTo: '2027-01-01T00:00:00Z' },
        },
      },
    },
  },
  responses: { 201: json(Price, 'What has taken its place'), ...thingFailures, ...bodyFailures, ...overlaps },
});

export function priceRoutes(app: App, services: Services): void {
  const { admin } = services;

  // Described like the others, but read by hand: prices are checked by one place, whoever brings them.
  app.openAPIRegistry.registerPath(postPrices);
  app.post('/v1/prices', async (c) => {
    const { context, actor } = await administer(c, services);
    const made = await putPrices(admin, context, requireNewPrices(await readJson(c)), actor);
    const { version, changedAt, prices } = made;
    return c.json({ priceVersion: version, pricesChangedAt: changedAt, data: prices.map(priceJson) }, 201);
  });

  app.openapi(getPrices, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { at, superseded, ...query } = c.req.valid('query');
    const page = await listPrices(admin, context, {
      ...query,
      superseded: superseded === 'true',
      ...(at !== undefined && { atMicros: Math.round(momentOf('at', at) * 1_000) }),
    });
    return c.json({ data: page.data.map(priceJson), nextCursor: page.nextCursor }, 200);
  });

  app.openapi(getOne, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(priceJson(await getPrice(admin, context, c.req.valid('param').id)), 200);
  });

  app.openAPIRegistry.registerPath(postEnd);
  app.post('/v1/prices/:id/end', async (c) => {
    const { context, actor } = await administer(c, services);
    const { data: thing, error } = thingOfTenant.params.safeParse({ id: c.req.param('id') });
    if (error) throw invalidRequest(error.issues);
    const toMicros = requireEnd(await readJson(c));
    return c.json(priceJson(await endPrice(admin, context, thing.id, toMicros, actor)), 201);
  });
}
