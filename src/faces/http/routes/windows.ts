import { createRoute, z } from '@hono/zod-openapi';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Page } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { goingOn } from '../../../ground/db/tenantReads.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { inTurn, MAX_EVENTS, REASONS, withDigests } from '../../../outbound/proof/digestWindows.ts';
import { DIGEST_ALGORITHM } from '../../../outbound/proof/windowDigest.ts';
import { listClosedWindows } from '../../../sums/rollups/listClosedWindows.ts';
import { listWindows } from '../../../sums/rollups/listWindows.ts';
import type { WindowSummary } from '../../../sums/rollups/windowSummary.ts';
import type { App } from '../appEnv.ts';
import { asOfField, asOfParameter, microsAsked, pageAsOf, parameterFault } from '../asOf.ts';
import { tenantOf } from '../context.ts';
import { rangeOfTenant } from '../ofTenant.ts';
import { instantOf, parseOpenRange, parseRange } from '../range.ts';
import { id, json, pageSchema, security, tenantFailures, windowSums } from '../schemas.ts';
import type { Services } from '../services.ts';

const HOUR_MS = 3_600_000;

const WindowDigest = z
  .object({
    algorithm: z.literal(DIGEST_ALGORITHM),
    sha256: z.string().openapi({ description: 'Lower-case hexadecimal.' }),
    events: z.int(),
    tokens: z.int(),
    inputTokens: z.int(),
    outputTokens: z.int(),
    value: z.string().openapi({
      description: 'The exact sum as a decimal string; the values of negative events are taken away.',
    }),
  })
  .openapi('WindowDigest', {
    description:
      'SHA-256 over the events of the window as an export has them, and what they add up to: docs/proof.md. ' +
      '`tidemark verify` makes it of exported events.',
  });

const Window = z
  .object({
    windowStart: z.string(),
    windowEnd: z.string(),
    tenantId: z.string(),
    customerId: z.string(),
    state: z.enum(['open', 'closed', 'revised']).openapi({
      description: 'closed: final. revised: late events or corrections have changed it.',
    }),
    revision: z.int().openapi({ description: 'How often late events and corrections have changed it.' }),
    aggregations: z.object({
      ...windowSums,
    }),
    digest: WindowDigest.nullable().optional().openapi({ description: 'With digest=true.' }),
    digestUnavailable: z
      .enum(REASONS)
      .optional()
      .openapi({
        description:
          'Why digest is null. open: the window has not closed. events_not_kept: its events are past their retention. ' +
          `too_many_events: it has more than ${MAX_EVENTS}. superseded, in messages alone: it has been revised since.`,
      }),
  })
  .openapi('Window');

const WindowPage = pageSchema(Window, 'WindowPage').extend({
  asOf: asOfField,
  closedThrough: z.string().optional().openapi({
    description: 'With closedAfter: what to pass as closedAfter next time, once the last page has been read.',
  }),
});

const getWindows = createRoute({
  method: 'get',
  path: '/v1/windows',
  operationId: 'listWindows',
  tags: ['Summaries'],
  summary: '30-second summaries per customer',
  description:
    'Windows with events that start in the range, by start and customer; also those all of whose events are void, with ' +
    'sums of zero. Default range: the last hour. ' +
    'To follow what becomes final, poll with closedAfter: the answer has every window that has closed, or was ' +
    'revised, since then, and closedThrough for the next poll. A revision is given out when the next window closes.',
  security,
  request: rangeOfTenant({
    customerId: id.optional(),
    state: z.enum(['open', 'closed', 'revised']).optional().openapi({
      description:
        'open; closed: all that are no longer open, revised or not; revised: only those that have changed since.',
    }),
    closedAfter: z
      .string()
      .max(64)
      .optional()
      .openapi({
        format: 'date-time',
        description:
          'Only windows that closed or changed after this moment: the closedThrough of the poll before. The range is ' +
          'then unbounded unless from or to are given.',
      }),
    asOf: asOfParameter,
    digest: z
      .enum(['true', 'false'])
      .default('false')
      .openapi({
        description:
          'true: each closed window with the digest of its events, of the same moment. Windows of at most ' +
          `${MAX_EVENTS} events in all to an answer, else 400 range_too_large: ask with a smaller limit.`,
      }),
  }),
  responses: { 200: json(WindowPage, 'Windows'), ...tenantFailures },
});

export function windowRoutes(app: App, services: Services): void {
  app.openapi(getWindows, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { digest, ...query } = c.req.valid('query');
    if (query.asOf !== undefined && digest === 'true') {
      throw parameterFault(
        'asOf',
        'not_allowed',
        'digests are of events as they are now: asOf and digest=true do not go together',
      );
    }
    const list = windowLister(context, query, services);
    if (digest !== 'true') return c.json(await services.reads.inOneMoment(context, list), 200);
    const page = await inTurn(() =>
      services.reads.inOneMoment(context, async (db) => {
        const { data, ...rest } = await list(goingOn(db));
        return { data: await withDigests(db, context, data), ...rest };
      }),
    );
    return c.json(page, 200);
  });
}

type Query = Omit<z.infer<typeof getWindows.request.query>, 'digest'>;

/** What reads the windows that are asked for. @throws {TidemarkError} where that cannot be meant. */
function windowLister(
  context: TenantContext,
  { closedAfter, state, asOf: asked, ...query }: Query,
  { config }: Services,
): (db: Queryable) => Promise<Page<WindowSummary> & { asOf?: string; closedThrough?: string }> {
  const asOf = microsAsked('asOf', asked);
  if (closedAfter === undefined) {
    const range = parseRange(query, {
      lengthMs: HOUR_MS,
      aheadMs: config.ingest.acceptAheadMs,
      maxMs: 31 * 24 * HOUR_MS,
      nowMs: asOf === undefined ? undefined : asOf / 1_000,
    });
    return pageAsOf({ asOf, from: range.from, cursor: query.cursor }, (db, at) =>
      listWindows(db, context, { ...query, ...range, state, ...at }),
    );
  }
  if (asOf !== undefined) {
    throw parameterFault('asOf', 'not_allowed', 'a feed is of now: asOf and closedAfter do not go together');
  }
  if (state === 'open') {
    throw new TidemarkError(
      'invalid_request',
      'an open window has not closed: closedAfter needs another state',
    );
  }
  const since = { closedAfter: instantOf('closedAfter', closedAfter), state: state ?? 'closed' };
  const { from, to } = parseOpenRange(query);
  const range = { from: query.from === undefined ? undefined : from, to };
  return (db) => listClosedWindows(db, context, { ...query, ...range, ...since });
}
