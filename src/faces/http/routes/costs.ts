import { createRoute, z } from '@hono/zod-openapi';
import { stringifyJson } from '../../../model/json.ts';
import { costCsv } from '../../../outbound/exporting/costCsv.ts';
import { COST_FIELD, COST_GROUPINGS } from '../../../sums/costs/reading/costQuery.ts';
import { costSeries } from '../../../sums/costs/reading/costSeries.ts';
import { MAX_PROVIDER } from '../../../sums/meters/definition/usageSeries.ts';
import { usageBegins } from '../../../sums/meters/reading/seriesState.ts';
import { GRANULARITIES } from '../../../sums/rollups/granularity.ts';
import type { App } from '../appEnv.ts';
import { bucketRange } from '../bucketRange.ts';
import { tenantOf } from '../context.ts';
import { costFields, costsJson, priceVersionFields } from '../costSchemas.ts';
import { answerCsv, wantsCsv } from '../csv.ts';
import { groupingsOf } from '../groupings.ts';
import { momentOf } from '../range.ts';
import {
  id,
  pageQuery,
  rangeQuery,
  security,
  tenantFailures,
  tenantHeader,
  text,
  wholeNumber,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const Point = z
  .object({
    bucket: z.string(),
    bucketEnd: z.string(),
    ...Object.fromEntries(Object.values(COST_FIELD).map((field) => [field, z.string().nullish()])),
    ...costFields,
  })
  .openapi('CostPoint');

const CostPage = z
  .object({ ...priceVersionFields, data: z.array(Point), nextCursor: z.string().nullable() })
  .openapi('CostPage', { description: 'nextCursor is null on the last page.' });

const getCosts = createRoute({
  method: 'get',
  path: '/v1/costs',
  operationId: 'listCosts',
  tags: ['Prices and costs'],
  summary: 'What AI usage costs over time',
  description:
    'By bucket, and by group where groupBy is given; each event by the price in force at its own time, to the microsecond. ' +
    'What has no price is told apart and is in no cost. A corrected price rates what it covers anew: priceVersion says by which ' +
    'version of the list an answer was made, and asks for an earlier one. By default the last 120 buckets. Accept: text/csv returns ' +
    'CSV, a line for each currency, with the cursor of the next page in X-Next-Cursor and the version in X-Price-Version. See docs/costs.md.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      ...rangeQuery,
      granularity: z.enum(GRANULARITIES).default('1d'),
      timezone: z.string().max(64).default('UTC').openapi({
        description: 'IANA name: hours, days and months are those of this zone.',
        example: 'Europe/Berlin',
      }),
      groupBy: z
        .string()
        .max(64)
        .optional()
        .openapi({
          description: `Comma-separated: ${COST_GROUPINGS.join(', ')}.`,
          example: 'customer,model',
        }),
      customerId: id.optional(),
      model: id.optional(),
      provider: text(MAX_PROVIDER).optional(),
      endpoint: text(1_024).optional(),
      eventType: id.optional(),
      priceVersion: wholeNumber(0, Number.MAX_SAFE_INTEGER)
        .optional()
        .openapi({ description: 'Of the list of prices; left out: the one of now.' }),
      ...pageQuery(1_000, 10_000),
    }),
  },
  responses: {
    200: {
      description: 'The costs',
      content: { 'application/json': { schema: CostPage }, 'text/csv': { schema: z.string() } },
    },
    ...tenantFailures,
  },
});

export function costRoutes(app: App, services: Services): void {
  app.openapi(getCosts, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { from, to, groupBy: listed, timezone, ...query } = c.req.valid('query');
    const groupBy = groupingsOf(listed, COST_GROUPINGS);
    const begins = () => services.reads.inOneMoment(context, (db) => usageBegins(db, context));
    const range = await bucketRange({ from, to }, query.granularity, timezone, services, momentOf, begins);
    const asked = {
      ...query,
      groupBy,
      fromMicros: Math.round(range.from * 1_000),
      toMicros: Math.round(range.to * 1_000),
      offsets: range.offsets,
    };
    const page = await services.reads.inOneMoment(context, (db) =>
      costSeries(db, context, asked, services.priceBooks),
    );
    if (wantsCsv(c)) {
      const version = { 'X-Price-Version': String(page.priceVersion) };
      return answerCsv(c, costCsv(page.data, groupBy), page.nextCursor, version);
    }
    const { data, nextCursor, ...version } = page;
    const points = data.map(({ bucket, bucketEnd, ...point }) => ({
      bucket,
      bucketEnd,
      ...Object.fromEntries(groupBy.map((group) => [COST_FIELD[group], point[COST_FIELD[group]]])),
      ...costsJson(point),
    }));
    const json = stringifyJson({ ...version, data: points, nextCursor });
    return c.body(json, 200, { 'Content-Type': 'application/json' }) as never;
  });
}
