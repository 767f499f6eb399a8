import { createRoute, z } from '@hono/zod-openapi';
import { TidemarkError } from '../../../model/errors.ts';
import { WINDOW_MS } from '../../../model/window.ts';
import { revisionEvents, windowHistory } from '../../../sums/corrections/windowHistory.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { instantOf, parseRange } from '../range.ts';
import {
  CorrectionNote,
  id,
  jsonPage,
  pageQuery,
  security,
  tenantFailures,
  tenantHeader,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Corrections'];
const HOUR_MS = 3_600_000;

const WindowRevision = z
  .object({
    windowStart: z.string(),
    customerId: z.string(),
    revision: z.int(),
    at: z.string(),
    cause: z.enum(['late', 'void', 'restore', 'amend', 'backfill', 'revert']),
    events: z.int().nullable().openapi({
      description:
        'Events that came, went or changed. null: written by an earlier version, which did not tell.',
    }),
    difference: z
      .object({
        calls: z.int(),
        tokens: z.int(),
        inputTokens: z.int(),
        outputTokens: z.int(),
        value: z.string(),
      })
      .nullable()
      .openapi({ description: 'What was added to the sums.' }),
    correction: CorrectionNote.optional(),
  })
  .openapi('WindowRevision');

const getHistory = createRoute({
  method: 'get',
  path: '/v1/windows/history',
  operationId: 'listWindowRevisions',
  tags,
  summary: 'Why windows have changed',
  description:
    'The revisions of windows that start in the range, by start, customer and number: late events and corrections. Kept as long ' +
    'as the windows. Default range: the last hour. At most 31 days.',
  security,
  request: rangeOfTenant({
    customerId: id.optional(),
    windowStart: z.string().max(64).optional().openapi({
      format: 'date-time',
      description: 'Only the window that starts here, in place of from and to.',
    }),
  }),
  responses: { 200: jsonPage(WindowRevision, 'WindowRevisionPage', 'Revisions'), ...tenantFailures },
});

const getRevisionEvents = createRoute({
  method: 'get',
  path: '/v1/windows/{windowStart}/customers/{customerId}/revisions/{revision}/events',
  operationId: 'listRevisionEvents',
  tags,
  summary: 'The events of one revision of a window',
  description: 'Those of late ones as long as single events are kept.',
  security,
  request: {
    headers: tenantHeader,
    params: z.object({
      windowStart: z.string().max(64),
      customerId: id,
      revision: z.coerce.number().int().min(1).max(2_147_483_647),
    }),
    query: z.strictObject(pageQuery(100, 1_000)),
  },
  responses: {
    200: jsonPage(
      z
        .object({
          eventId: z.string(),
          counts: z.boolean().openapi({ description: 'Whether it is in the window from this revision on.' }),
        })
        .openapi('RevisionEvent'),
      'RevisionEventPage',
      'Events',
    ),
    ...thingFailures,
  },
});

export function windowHistoryRoutes(app: App, services: Services): void {
  app.openapi(getHistory, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { windowStart, ...query } = c.req.valid('query');
    if (windowStart !== undefined && (query.from !== undefined || query.to !== undefined)) {
      throw new TidemarkError('invalid_request', 'windowStart stands in the place of from and to');
    }
    const start = windowStart === undefined ? null : windowOf(windowStart);
    const range =
      start === null
        ? parseRange(query, {
            lengthMs: HOUR_MS,
            aheadMs: services.config.ingest.acceptAheadMs,
            maxMs: 31 * 24 * HOUR_MS,
          })
        : { from: start, to: start + WINDOW_MS };
    return c.json(
      await services.reads.inOneMoment(context, (db) => windowHistory(db, context, { ...query, ...range })),
      200,
    );
  });

  app.openapi(getRevisionEvents, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { customerId, windowStart, revision } = c.req.valid('param');
    const window = { customerId, start: windowOf(windowStart) };
    return c.json(
      await services.reads.inOneMoment(context, (db) =>
        revisionEvents(db, context, window, revision, c.req.valid('query')),
      ),
      200,
    );
  });
}

/** @throws {TidemarkError} `range_invalid`. */
function windowOf(windowStart: string): number {
  const start = instantOf('windowStart', windowStart);
  if (start % WINDOW_MS === 0) return start;
  throw new TidemarkError('range_invalid', 'windowStart must be the start of a window of 30 seconds');
}
