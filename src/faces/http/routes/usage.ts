import { createRoute, z } from '@hono/zod-openapi';
import type { KeptDays } from '../../../ground/config/retention.ts';
import type { ZoneOffset } from '../../../ground/zones/zoneOffset.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { usageCsv } from '../../../outbound/exporting/usageCsv.ts';
import { coarsestBetween } from '../../../sums/rollups/buckets.ts';
import {
  bucketEdges,
  GRANULARITIES,
  GRANULARITY_MS,
  type Granularity,
} from '../../../sums/rollups/granularity.ts';
import { PRECISIONS } from '../../../sums/rollups/latencySummary.ts';
import { GROUPINGS, type Grouping, type UsageQuery, usageSeries } from '../../../sums/rollups/usageSeries.ts';
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
      groupBy: parseGroupings(groupBy),
      ...(await usageRange({ from, to }, query.granularity, timezone, services)),
    };
    const page = await services.reads.inOneMoment(context, (db) => usageSeries(db, context, series));
    if (!/\btext\/csv\b/i.test(c.req.header('accept') ?? '')) return c.json(page, 200);
    if (page.nextCursor) c.header('X-Next-Cursor', page.nextCursor);
    return c.body(usageCsv(page.data, series.groupBy), 200, { 'Content-Type': 'text/csv; charset=utf-8' });
  });
}

async function usageRange(
  query: { from: string | undefined; to: string | undefined },
  granularity: Granularity,
  timezone: string,
  { zones, config }: Pick<Services, 'zones' | 'config'>,
): Promise<{ from: number; to: number; offsets: readonly ZoneOffset[] }> {
  const bucketMs = GRANULARITY_MS[granularity];
  const { from, to } = parseRange(query, {
    lengthMs: Math.min(DEFAULT_BUCKETS * bucketMs, 366 * DAY_MS),
    aheadMs: config.ingest.acceptAheadMs,
    maxMs: Math.min(MAX_BUCKETS * bucketMs, 3_660 * DAY_MS),
  });
  const offsets = await zones.offsets(timezone, from, to);
  if (query.from !== undefined) return { from, to, offsets };
  const edges = bucketEdges(granularity, offsets, from, to).slice(0, -1);
  return { from: firstKept(granularity, edges, to, config.retention.days), to, offsets };
}

/** Where a range of our own making begins: at the first of these buckets that is kept whole. */
function firstKept(granularity: Granularity, edges: number[], to: number, days: KeptDays): number {
  const level = coarsestBetween(granularity, edges);
  const kept = level === 'raw' ? days.event : days[`usage_${level}`];
  if (kept === null) return edges[0]!;
  const earliest = (Math.floor(Date.now() / DAY_MS) - kept + 1) * DAY_MS;
  if (earliest >= to) return edges[0]!; // nothing is: the reading refuses it
  return edges.find((edge) => edge >= earliest) ?? earliest;
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
