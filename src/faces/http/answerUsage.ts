import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { stringifyJson } from '../../model/json.ts';
import { usageCostCsv } from '../../outbound/exporting/costCsv.ts';
import { usageCsv } from '../../outbound/exporting/usageCsv.ts';
import { usageWithCosts } from '../../sums/costs/reading/usageWithCosts.ts';
import { usageBegins } from '../../sums/meters/reading/seriesState.ts';
import { eventsKeptFrom } from '../../sums/retention/eventsKeptFrom.ts';
import { GRANULARITIES } from '../../sums/rollups/granularity.ts';
import { PRECISIONS } from '../../sums/rollups/latencySummary.ts';
import { GROUPINGS, type UsageQuery, usageSeries } from '../../sums/rollups/usageSeries.ts';
import type { AppEnv } from './appEnv.ts';
import { asOfField, asOfParameter, microsAsked, pageAsOf, parameterFault } from './asOf.ts';
import { bucketRange } from './bucketRange.ts';
import { costFields, costsJson, priceVersionFields } from './costSchemas.ts';
import { answerCsv, asOfHeader, wantsCsv } from './csv.ts';
import { groupingsOf } from './groupings.ts';
import { instantOf } from './range.ts';
import { id, pageQuery, rangeQuery, text } from './schemas.ts';
import type { Services } from './services.ts';

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
    asOf: asOfField,
    priceVersion: priceVersionFields.priceVersion.optional(),
    pricesChangedAt: priceVersionFields.pricesChangedAt.optional(),
    data: z.array(Point),
    nextCursor: z.string().nullable(),
  })
  .openapi('UsagePage', { description: 'nextCursor is null on the last page.' });

/** The answer of a route. */
export const usageAnswer = {
  description: 'The series',
  content: {
    'application/json': { schema: UsagePage },
    'text/csv': { schema: z.string() },
  },
};

const groupByParameter = (groupings: readonly string[], example: string) =>
  z
    .string()
    .max(64)
    .optional()
    .openapi({ description: `Comma-separated: ${groupings.join(', ')}.`, example });

/** The parameters. */
export const usageParameters = {
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
  groupBy: groupByParameter(GROUPINGS, 'customer,model'),
  customerId: id.optional(),
  endpoint: text(1_024).optional(),
  model: id.optional(),
  eventType: id.optional(),
  cost: z
    .enum(['true', 'false'])
    .default('false')
    .openapi({ description: 'With what the AI calls among the usage cost, as /v1/costs has it.' }),
  asOf: asOfParameter,
  ...pageQuery(1_000, 10_000),
};

const UsageParameters = z.strictObject(usageParameters);
type AskedUsage = z.infer<typeof UsageParameters>;

/** How one customer's usage can be told apart. */
const OWN_GROUPINGS = GROUPINGS.filter((grouping) => grouping !== 'customer');

const { customerId: _, ...withoutCustomer } = usageParameters;

/** The parameters where one customer asks: whom else there is goes by nobody. */
export const ownUsageParameters = {
  ...withoutCustomer,
  groupBy: groupByParameter(OWN_GROUPINGS, 'model'),
};

/**
 * Answers with the series that is asked for, as JSON or CSV.
 *
 * @param only the one customer that it is about: then there is no grouping by customer.
 * @throws {TidemarkError} `invalid_request`, `range_invalid`, `range_too_large`, `timezone_invalid`, `cursor_invalid`;
 * the reading `as_of_in_future`, `as_of_not_kept`.
 */
export async function answerUsage(
  c: Context<AppEnv>,
  services: Services,
  context: TenantContext,
  { from, to, groupBy, timezone, cost, asOf: asked, ...query }: AskedUsage,
  only?: string,
) {
  const asOf = microsAsked('asOf', asked);
  if (asOf !== undefined && cost === 'true') {
    throw parameterFault(
      'asOf',
      'not_allowed',
      'costs are told as they are now: asOf and cost=true do not go together',
    );
  }
  const begins = () =>
    services.reads.inOneMoment(context, (db) =>
      asOf === undefined ? usageBegins(db, context) : eventsKeptFrom(db),
    );
  const series: UsageQuery = {
    ...query,
    ...(only !== undefined && { customerId: only }),
    groupBy: groupingsOf(groupBy, only === undefined ? GROUPINGS : OWN_GROUPINGS),
    ...(await bucketRange(
      { from, to },
      query.granularity,
      timezone,
      services,
      instantOf,
      cost === 'true' || asOf !== undefined ? begins : undefined,
      asOf === undefined ? undefined : asOf / 1_000,
    )),
  };
  if (cost === 'true') return withCosts(c, context, series, services);
  const read = pageAsOf({ asOf, from: series.from, cursor: series.cursor }, (db, at) =>
    usageSeries(db, context, { ...series, ...at }),
  );
  const page = await services.reads.inOneMoment(context, read);
  if (!wantsCsv(c)) return c.json(page, 200);
  return answerCsv(c, usageCsv(page.data, series.groupBy), page.nextCursor, asOfHeader(page.asOf));
}

async function withCosts(c: Context<AppEnv>, context: TenantContext, series: UsageQuery, services: Services) {
  const page = await services.reads.inOneMoment(context, (db) =>
    usageWithCosts(db, context, series, services.priceBooks),
  );
  if (wantsCsv(c)) {
    const version = { 'X-Price-Version': String(page.priceVersion) };
    return answerCsv(c, usageCostCsv(page.data, series.groupBy), page.nextCursor, version);
  }
  const { data, nextCursor, ...version } = page;
  const points = data.map(({ cost, ...point }) => ({ ...point, cost: costsJson(cost) }));
  const json = stringifyJson({ ...version, data: points, nextCursor });
  return c.body(json, 200, { 'Content-Type': 'application/json' });
}
