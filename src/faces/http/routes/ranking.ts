import { createRoute, z } from '@hono/zod-openapi';
import { customerNames } from '../../../access/tenancy/customers.ts';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { currencyFault, USAGE_MEASURES, type UsageMeasure } from '../../../outbound/delivery/messageTypes.ts';
import { CURRENCY } from '../../../sums/costs/catalog/price.ts';
import { findLiveMeter } from '../../../sums/meters/catalog/meter.ts';
import { type RankedBy, rankCustomers } from '../../../sums/ranking/rankCustomers.ts';
import type { App } from '../appEnv.ts';
import { parameterFault } from '../asOf.ts';
import { MAX_RANGE_MS } from '../bucketRange.ts';
import { tenantOf } from '../context.ts';
import { parseRange } from '../range.ts';
import { id, json, rangeQuery, security, tenantHeader, text, thingFailures } from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;

const Top = z
  .object({
    customers: z.int().openapi({ description: 'How many have anything in the range.' }),
    total: z.string().nullable().openapi({
      description:
        'What all of them have together: exact decimal; null of a meter whose numbers do not add up.',
    }),
    data: z.array(
      z.object({
        customerId: z.string(),
        name: z.string().nullable(),
        value: z.string().openapi({ description: 'Exact decimal.' }),
      }),
    ),
  })
  .openapi('TopCustomers');

const getTop = createRoute({
  method: 'get',
  path: '/v1/usage/top',
  operationId: 'topCustomers',
  tags: ['Summaries'],
  summary: 'The customers that use most',
  description:
    'By a measure of usage, by cost, or by a meter, over the whole range, the greatest first; by id where two have the same. ' +
    'Exact, and taken to the millisecond. Costs are by the prices of now. Default range: the last day.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      ...rangeQuery,
      measure: z
        .enum(USAGE_MEASURES)
        .optional()
        .openapi({ description: 'Left out, and no meter named: calls.' }),
      currency: z
        .string()
        .regex(CURRENCY, 'must be a code of ISO 4217: three capital letters, as in USD')
        .optional()
        .openapi({ description: 'Of a cost, and needed there.' }),
      meter: text(64).optional().openapi({ description: 'A slug, in place of a measure.' }),
      eventType: id.optional().openapi({ description: 'Only events of this type; not with a meter.' }),
      limit: z.coerce.number().int().min(1).max(1_000).default(20),
    }),
  },
  responses: { 200: json(Top, 'The first of them'), ...thingFailures },
});

export function rankingRoutes(app: App, services: Services): void {
  app.openapi(getTop, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { from, to, limit, ...asked } = c.req.valid('query');
    requireOne(asked);
    const range = parseRange(
      { from, to },
      { lengthMs: DAY_MS, aheadMs: services.config.ingest.acceptAheadMs, maxMs: MAX_RANGE_MS },
    );
    const top = await services.reads.inOneMoment(context, async (db) => {
      const { by, adds } = await rankedBy(db, context, asked);
      const query = { ...range, customers: null, limit };
      const ranking = await rankCustomers(db, context, by, query, services.priceBooks);
      const ids = ranking.data.map(({ customerId }) => customerId);
      return { ...ranking, adds, names: await customerNames(db, context, ids) };
    });
    const { customers, total, adds, names, data } = top;
    const answer = {
      customers,
      total: adds ? total : null,
      data: data.map((one) => ({
        customerId: one.customerId,
        name: names.get(one.customerId) ?? null,
        value: one.value,
      })),
    };
    return c.json(answer, 200);
  });
}

interface Asked {
  measure?: UsageMeasure | undefined;
  currency?: string | undefined;
  meter?: string | undefined;
  eventType?: string | undefined;
}

/** @throws {TidemarkError} `invalid_request`. */
function requireOne({ measure, currency, meter, eventType }: Asked): void {
  if (meter !== undefined && measure !== undefined) {
    throw parameterFault('meter', 'not_allowed', 'give a measure or a meter: one of the two');
  }
  if (meter !== undefined && eventType !== undefined) {
    throw parameterFault('eventType', 'not_allowed', 'a meter has a type of its own');
  }
  const fault = currencyFault(measure, currency);
  if (fault !== null) throw parameterFault('currency', fault.code, `currency: ${fault.message}`);
}

/** What is meant, and whether what customers have of it adds up. */
async function rankedBy(
  db: Queryable,
  { tenantId }: TenantContext,
  { measure = 'calls', currency, meter: slug, eventType }: Asked,
): Promise<{ by: RankedBy; adds: boolean }> {
  if (slug !== undefined) {
    const meter = await findLiveMeter(db, tenantId, slug);
    return { by: { meter }, adds: ['count', 'sum'].includes(meter.definition.aggregation) };
  }
  if (measure === 'cost') return { by: { measure, currency: currency!, eventType }, adds: true };
  return { by: { measure, eventType }, adds: true };
}
