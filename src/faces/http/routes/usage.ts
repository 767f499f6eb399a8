import { createRoute, z } from '@hono/zod-openapi';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { asOfCursor, readAsOf, readAsOfCursor } from '../../../sums/asof/asOf.ts';
import { usageChanges } from '../../../sums/asof/usageChanges.ts';
import { requireKept } from '../../../sums/retention/requireKept.ts';
import { answerUsage, usageAnswer, usageParameters } from '../answerUsage.ts';
import type { App } from '../appEnv.ts';
import { microsAsked, parameterFault } from '../asOf.ts';
import { tenantOf } from '../context.ts';
import { parseRange } from '../range.ts';
import {
  CorrectionNote,
  id,
  json,
  pageQuery,
  rangeQuery,
  security,
  tenantFailures,
  tenantHeader,
  text,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const DAY_MS = 86_400_000;
const MOST_DAYS_OF_CHANGES = 31;

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
    query: z.strictObject(usageParameters),
  },
  responses: { 200: usageAnswer, ...tenantFailures },
});

const UsageDifference = z
  .object({
    calls: z.int(),
    tokens: z.int(),
    inputTokens: z.int(),
    outputTokens: z.int(),
    value: z.string().openapi({ description: 'Exact decimal.' }),
  })
  .openapi('UsageDifference');

const UsageChange = z
  .object({
    eventId: z.string(),
    version: z.int(),
    timestamp: z.string(),
    customerId: z.string(),
    eventType: z.string(),
    counts: z
      .boolean()
      .openapi({ description: 'Whether it counts at the later moment; else at the earlier one.' }),
    cause: z.enum(['in_time', 'late', 'void', 'restore', 'amend', 'backfill', 'revert']).openapi({
      description:
        'in_time, late: it came in before its window closed, or after. The others: it was corrected.',
    }),
    at: z.string().openapi({ description: 'When it came in, or was corrected.' }),
    difference: UsageDifference,
    correction: CorrectionNote.optional(),
  })
  .openapi('UsageChange');

const getChanges = createRoute({
  method: 'get',
  path: '/v1/usage/changes',
  operationId: 'usageChanges',
  tags: ['Summaries'],
  summary: 'Which events make the difference between two moments',
  description:
    'Those that count in GET /v1/usage?asOf=until and not in asOf=since, or the other way round, by their time: of an amended ' +
    'event two versions, one that counts no more and one that does. What they add up to is the difference of the two answers of ' +
    `the same range and filters. Default range: the last day; at most ${MOST_DAYS_OF_CHANGES} days.`,
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      ...rangeQuery,
      since: z.string().max(64).optional().openapi({
        format: 'date-time',
        description: 'As asOf of GET /v1/usage. Default: a day before until.',
      }),
      until: z.string().max(64).optional().openapi({
        format: 'date-time',
        description: 'Likewise. Default: the last moment at which windows closed.',
      }),
      customerId: id.optional(),
      endpoint: text(1_024).optional(),
      model: id.optional(),
      eventType: id.optional(),
      ...pageQuery(100, 1_000),
    }),
  },
  responses: {
    200: json(
      z
        .object({
          since: z.string().openapi({ description: 'The moments that are meant: asOf of the two answers.' }),
          until: z.string(),
          difference: UsageDifference.openapi({ description: 'Of all changes, those of other pages too.' }),
          data: z.array(UsageChange),
          nextCursor: z.string().nullable(),
        })
        .openapi('UsageChangePage'),
      'The changes',
    ),
    ...tenantFailures,
  },
});

export function usageRoutes(app: App, services: Services): void {
  app.openapi(getUsage, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return answerUsage(c, services, context, c.req.valid('query')) as never;
  });

  app.openapi(getChanges, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { from, to, since, until, cursor, ...query } = c.req.valid('query');
    const moments = { since: microsAsked('since', since), until: microsAsked('until', until) };
    const { walks, cursor: within } = readAsOfCursor(cursor, 2);
    const range = parseRange(
      { from, to },
      {
        lengthMs: DAY_MS,
        aheadMs: services.config.ingest.acceptAheadMs,
        maxMs: MOST_DAYS_OF_CHANGES * DAY_MS,
      },
    );
    const page = await services.reads.inOneMoment(context, async (db) => {
      const last = await readAsOf(db, { name: 'until', micros: moments.until, walk: walks[1] });
      const first = moments.since ?? last.micros - DAY_MS * 1_000;
      const at = {
        since: await readAsOf(db, { name: 'since', micros: first, walk: walks[0] }),
        until: last,
      };
      if (at.since.micros > at.until.micros) {
        throw parameterFault('since', 'range_invalid', 'since must not be after until');
      }
      await requireKept(db, 'event', range.from);
      const { nextCursor, ...changes } = await usageChanges(db, context, {
        ...query,
        ...range,
        ...at,
        cursor: within,
      });
      return {
        since: formatTimestamp(at.since.micros),
        until: formatTimestamp(at.until.micros),
        ...changes,
        nextCursor: asOfCursor([at.since, at.until], nextCursor),
      };
    });
    return c.json(page, 200);
  });
}
