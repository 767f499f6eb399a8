import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { stringifyJson } from '../../../model/json.ts';
import { usageCostCsv } from '../../../outbound/exporting/costCsv.ts';
import { usageCsv } from '../../../outbound/exporting/usageCsv.ts';
import { usageWithCosts } from '../../../sums/costs/reading/usageWithCosts.ts';
import { usageBegins } from '../../../sums/meters/reading/seriesState.ts';
import { GRANULARITIES } from '../../../sums/rollups/granularity.ts';
import { PRECISIONS } from '../../../sums/rollups/latencySummary.ts';
import { GROUPINGS, type UsageQuery, usageSeries } from '../../../sums/rollups/usageSeries.ts';
import type { App, AppEnv } from '../appEnv.ts';
import { bucketRange } from '../bucketRange.ts';
import { tenantOf } from '../context.ts';
import { costFields, costsJson, priceVersionFields } from '../costSchemas.ts';
import { answerCsv, wantsCsv } from '../csv.ts';
import { groupingsOf } from '../groupings.ts';
import { instantOf } from '../range.ts';
import { id, pageQuery, rangeQuery, security, tenantFailures, tenantHeader, text } from '../schemas.ts';
import type { Services } from '../services.ts';

const Point = z
  .object({
    bucket: z.string(),
    bucketEnd: z.string(),
    customerId: z.string().nullish(),
    endpoint: z.string().nullish(),
    model: z.string().nullish(),
    eventType: z.string().nullish(),
    calls: z.int(),
    tokens: z.int(),
    inputTokens: z.int(),
    outputTokens: z.int(),
    value: z.string().openapi({
      description: 'Exact decimal. Events of type negative count below zero, as in the totals of records.',
    }),
    latency: z.object({
      count: z.int(),
      avgMs: z.number().nullable(),
      maxMs: z.number().nullable(),
      p50Ms: z.number().nullable(),
      p95Ms: z.number().nullable(),
      p99Ms: z.number().nullable(),
      minMs: z.number().nullable().openapi({ description: 'Null where precision is coarse.' }),
      precision: z.enum(PRECISIONS).openapi({
        description:
          'fine: each percentile is within 2 % of the exact one. coarse: some of it was summed up by an earlier ' +
          'version, in the 14 classes of a histogram, and percentiles are estimates inside of these.',
      }),
    }),
    cost: z
      .object(costFields)
      .optional()
      .openapi({ description: 'Where cost=true: of the AI calls among the usage.' }),
  })
  .openapi('UsagePoint');

const UsagePage = z
  .object({
    priceVersion: priceVersionFields.priceVersion.optional(),
    pricesChangedAt: priceVersionFields.pricesChangedAt.optional(),
    data: z.array(Point),
    nextCursor: z.string().nullable(),
  })
  .openapi('UsagePage', { description: 'nextCursor is null on the last page.' });

const getUsage = createRoute({
  method: 'get',
  path: '/v1/usage',
  operationId: 'usageSeries',
  tags: ['Summaries'],
  summary: 'Usage over time',
  description:
    'A series by bucket, and by group where groupBy is given. The range is taken to the millisecond: where a point ' +
    'has a bucket before from or a bucketEnd after to, its sums are of the part between. By default the range begins where a bucket begins: of the last ' +
    '120, or of the last 366 days where those are fewer. Buckets leave no gap and never overlap: a day or a month ' +
    'begins at the first instant at which the calendar of the zone shows it, an hour when its clock shows a full hour ' +
    'or is set. Buckets without events are left out. Accept: text/csv returns CSV, with the cursor ' +
    'of the next page in X-Next-Cursor. Percentiles are by nearest rank: of n latencies, the smallest that at least ' +
    'p % of the n are at or below. They are within 2 % of it and never outside of minMs and maxMs; of a single ' +
    'latency they are exact.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      ...rangeQuery,
      granularity: z.enum(GRANULARITIES).default('1h'),
      timezone: z
        .string()
        .max(64)
        .default('UTC')
        .openapi({
          description:
            'IANA name, a former one too; hours, days and months are those of this zone, by the rules that the database ' +
            'has (info.x-time-zone-rules).',
          example: 'Europe/Berlin',
        }),
      groupBy: z
        .string()
        .max(64)
        .optional()
        .openapi({
          description: `Comma-separated: ${GROUPINGS.join(', ')}.`,
          example: 'customer,model',
        }),
      customerId: id.optional(),
      endpoint: text(1_024).optional(),
      model: id.optional(),
      eventType: id.optional(),
      cost: z
        .enum(['true', 'false'])
        .default('false')
        .openapi({ description: 'With what the AI calls among the usage cost, as /v1/costs has it.' }),
      ...pageQuery(1_000, 10_000),
    }),
  },
  responses: {
    200: {
      description: 'The series',
      content: {
        'application/json': { schema: UsagePage },
        'text/csv': { schema: z.string() },
      },
    },
    ...tenantFailures,
  },
});

export function usageRoutes(app: App, services: Services): void {
  app.openapi(getUsage, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { from, to, groupBy, timezone, cost, ...query } = c.req.valid('query');
    const begins = () => services.reads.inOneMoment(context, (db) => usageBegins(db, context));
    const series: UsageQuery = {
      ...query,
      groupBy: groupingsOf(groupBy, GROUPINGS),
      ...(await bucketRange(
        { from, to },
        query.granularity,
        timezone,
        services,
        instantOf,
        cost === 'true' ? begins : undefined,
      )),
    };
    if (cost === 'true') return withCosts(c, context, series, services);
    const page = await services.reads.inOneMoment(context, (db) => usageSeries(db, context, series));
    if (!wantsCsv(c)) return c.json(page, 200);
    return answerCsv(c, usageCsv(page.data, series.groupBy), page.nextCursor);
  });
}

async function withCosts(c: Context<AppEnv>, context: TenantContext, series: UsageQuery, services: Services) {
  const page = await services.reads.inOneMoment(context, (db) =>
    usageWithCosts(db, context, series, services.priceBooks),
  );
  if (wantsCsv(c)) {
    const version = { 'X-Price-Version': String(page.priceVersion) };
    return answerCsv(c, usageCostCsv(page.data, series.groupBy), page.nextCursor, version) as never;
  }
  const { data, nextCursor, ...version } = page;
  const points = data.map(({ cost, ...point }) => ({ ...point, cost: costsJson(cost) }));
  const json = stringifyJson({ ...version, data: points, nextCursor });
  return c.body(json, 200, { 'Content-Type': 'application/json' }) as never;
}
