import { createRoute, z } from '@hono/zod-openapi';
import type { Config } from '../../config.ts';
import { TidemarkError } from '../../errors.ts';
import { usageCsv } from '../../exporting/usageCsv.ts';
import { checkTimezone, GRANULARITIES, GRANULARITY_MS, type Granularity } from '../../rollups/granularity.ts';
import { PRECISIONS } from '../../rollups/latencySummary.ts';
import { GROUPINGS, type Grouping, type UsageQuery, usageSeries } from '../../rollups/usageSeries.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { parseRange } from '../range.ts';
import {
  id,
  pageQuery,
  pageSchema,
  rangeQuery,
  security,
  tenantFailures,
  tenantHeader,
  text,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;
/** Buckets a range may have. */
const MAX_BUCKETS = 10_000;
/** Buckets of the default range. */
const DEFAULT_BUCKETS = 120;

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
  })
  .openapi('UsagePoint');

const getUsage = createRoute({
  method: 'get',
  path: '/v1/usage',
  operationId: 'usageSeries',
  tags: ['Summaries'],
  summary: 'Usage over time',
  description:
    'A series by bucket, and by group where groupBy is given. The range is taken to the millisecond: its first and ' +
    'last bucket may be partial. Buckets without events are left out. Accept: text/csv returns CSV, with the cursor ' +
    'of the next page in X-Next-Cursor. Percentiles are by nearest rank: of n latencies, the smallest that at least ' +
    'p % of the n are at or below. They are within 2 % of it and never outside of minMs and maxMs; of a single ' +
    'latency they are exact.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      ...rangeQuery,
      granularity: z.enum(GRANULARITIES).default('1h'),
      timezone: z.string().max(64).default('UTC').openapi({
        description: 'IANA name; hours, days and months are those of this zone.',
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
      ...pageQuery(1_000, 10_000),
    }),
  },
  responses: {
    200: {
      description: 'The series',
      content: {
        'application/json': { schema: pageSchema(Point, 'UsagePage') },
        'text/csv': { schema: z.string() },
      },
    },
    ...tenantFailures,
  },
});

export function usageRoutes(app: App, services: Services): void {
  app.openapi(getUsage, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { from, to, groupBy, timezone, ...query } = c.req.valid('query');
    const series: UsageQuery = {
      ...query,
      ...usageRange({ from, to }, query.granularity, timezone, services.config),
      timezone: checkTimezone(timezone),
      groupBy: parseGroupings(groupBy),
    };
    const page = await usageSeries(services.reads.as(context), context, series);
    if (!/\btext\/csv\b/i.test(c.req.header('accept') ?? '')) return c.json(page, 200);
    if (page.nextCursor) c.header('X-Next-Cursor', page.nextCursor);
    return c.body(usageCsv(page.data, series.groupBy), 200, { 'Content-Type': 'text/csv; charset=utf-8' });
  });
}

function usageRange(
  query: { from: string | undefined; to: string | undefined },
  granularity: Granularity,
  timezone: string,
  { ingest, retention }: Pick<Config, 'ingest' | 'retention'>,
): { from: number; to: number } {
  const bucketMs = GRANULARITY_MS[granularity];
  const maxMs = Math.min(MAX_BUCKETS * bucketMs, 3_660 * DAY_MS);
  // A range of our own making begins with a whole bucket, and where those are kept.
  const { usage_1d: days, usage_30s: parts } = retention.days;
  const keptDays = (bucketMs >= DAY_MS && timezone === 'UTC' ? days : parts) ?? Number.POSITIVE_INFINITY;
  const lengthMs = Math.min(DEFAULT_BUCKETS * bucketMs, 366 * DAY_MS, (keptDays - 1) * DAY_MS);
  const { from, to } = parseRange(query, { lengthMs, aheadMs: ingest.acceptAheadMs, maxMs });
  const unit = Math.min(bucketMs, DAY_MS);
  return { from: query.from === undefined ? Math.floor(from / unit) * unit : from, to };
}

function parseGroupings(groupBy: string | undefined): Grouping[] {
  if (groupBy === undefined || groupBy === '') return [];
  const groups = groupBy.split(',').map((group) => group.trim());
  const unknown = groups.find((group) => !GROUPINGS.includes(group as Grouping));
  if (unknown !== undefined || new Set(groups).size !== groups.length) {
    throw new TidemarkError('invalid_request', `groupBy: each of ${GROUPINGS.join(', ')} at most once`);
  }
  return groups as Grouping[];
}
