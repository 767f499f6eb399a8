import { createRoute, z } from '@hono/zod-openapi';
import { MAX_BACKFILL_CUSTOMERS, MAX_BACKFILL_EVENTS } from '../../../intake/backfills/backfill.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { actorOf } from '../actor.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { thingOfTenant } from '../ofTenant.ts';
import { microsOf } from '../range.ts';
import {
  bodyFailures,
  id,
  json,
  jsonPage,
  Problem,
  pageQuery,
  problemAnswer,
  security,
  tenantFailures,
  tenantHeader,
  text,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Backfills'];
const MAX_REASON = 1_024;

const reason = text(MAX_REASON).openapi({
  description: 'Why. It stands in the audit log and in the history.',
});
const moment = (description: string) => z.string().max(64).openapi({ format: 'date-time', description });

const NewBackfill = z
  .strictObject({
    from: moment('Start, inclusive: its events may not be earlier.'),
    to: moment('End, exclusive.'),
    customers: z
      .array(id)
      .min(1)
      .max(MAX_BACKFILL_CUSTOMERS)
      .optional()
      .openapi({ description: 'Whom it is about, and nobody else. Left out: all.' }),
    replace: z.boolean().default(false).openapi({
      description: 'true: what is there of that time and those customers becomes void when it is closed.',
    }),
    reason,
  })
  .openapi('NewBackfill');
const newBackfill = {
  from: '2026-03-01T00:00:00Z',
  to: '2026-03-02T00:00:00Z',
  customers: ['initech'],
  replace: true,
  reason: 'the gateway has lost a day',
};

const Reversion = z.strictObject({ reason }).openapi('Reversion');
const reversion = { reason: 'the file was that of another month' };

/** A body, with what it may look like. */
const bodyLike = <Schema extends z.ZodType>(schema: Schema, example: z.input<Schema>) => ({
  required: true,
  content: { 'application/json': { schema, example } },
});

const actor = z.object({
  kind: z.string(),
  keyId: z.string().nullable().openapi({ description: 'null: ADMIN_KEY.' }),
});
const move = {
  correctionId: z.uuid().openapi({ description: 'As in the history of windows.' }),
  at: z.string(),
  actor,
  reason: z.string(),
  windows: z.int().openapi({ description: 'Windows of a customer that have got a revision.' }),
};
const state = z.enum(['staged', 'closed', 'reverted', 'dropped']);

const fields = {
  id: z.uuid(),
  state: state.openapi({
    description:
      'staged: its events do not count. closed: they do. reverted: no more. dropped: they are gone.',
  }),
  from: z.string(),
  to: z.string(),
  customers: z.array(z.string()).nullable().openapi({ description: 'null: all.' }),
  replace: z.boolean(),
  reason: z.string(),
  actor,
  createdAt: z.string(),
  events: z.int().openapi({ description: 'Posted to it, each once.' }),
  closed: z
    .object({
      ...move,
      events: z.int().openapi({ description: 'Of its events those that count since.' }),
      replaced: z.int().openapi({ description: 'Events that counted before, and no more.' }),
      duplicates: z.int().openapi({ description: 'Of its events those that had been counted before.' }),
    })
    .nullable(),
  reverted: z.object(move).nullable(),
  droppedAt: z.string().nullable(),
};
const Backfill = z.object(fields).openapi('Backfill');

const PreviewSums = z
  .object({
    events: z.int(),
    windows: z.int().openapi({ description: 'Windows of a customer with events.' }),
    tokens: z.int(),
    inputTokens: z.int(),
    outputTokens: z.int(),
    value: z.string(),
  })
  .openapi('PreviewSums');
const change = {
  before: PreviewSums,
  after: PreviewSums,
  changedWindows: z.int().openapi({ description: 'Windows that would get a revision.' }),
};

const ShownBackfill = z
  .object({
    ...fields,
    preview: z
      .object({
        ...change,
        duplicates: z.int().openapi({ description: 'Staged events that would not count.' }),
        days: z.array(z.object({ day: z.string().openapi({ format: 'date' }), ...change })),
      })
      .nullable()
      .openapi({
        description:
          'What closing it would change now, in its range and of its customers, in all and by day of UTC; without replace only ' +
          'days that it has events of. null: it is not staged.',
      }),
  })
  .openapi('ShownBackfill');

const BackfillConflict = Problem.extend({
  backfillId: z
    .uuid()
    .optional()
    .openapi({ description: 'The other one: that it overlaps, or that is to be reverted first.' }),
}).openapi('BackfillConflict');
const conflict = (description: string) => ({
  409: { description, content: { 'application/problem+json': { schema: BackfillConflict } } },
});
const notStaged = conflict('It is not staged any more, or not closed: see code');

const postBackfill = createRoute({
  method: 'post',
  path: '/v1/backfills',
  operationId: 'createBackfill',
  tags,
  summary: 'Begin a backfill',
  description:
    'Events that are posted to it (POST /v1/events?backfill=ID) are stored and not counted until it is closed. Up to ' +
    `${MAX_BACKFILL_EVENTS} of them. Needs the scope correct. See docs/corrections.md.`,
  security,
  request: { headers: tenantHeader, body: bodyLike(NewBackfill, newBackfill) },
  responses: {
    201: json(Backfill, 'The backfill'),
    ...tenantFailures,
    ...bodyFailures,
    ...conflict('Another staged one has some of that time and of those customers, or there are too many'),
  },
});

const getBackfills = createRoute({
  method: 'get',
  path: '/v1/backfills',
  operationId: 'listBackfills',
  tags,
  summary: 'Backfills, oldest first',
  description: 'Of the tenant, in any state or in one, without what they would change.',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({ state: state.optional(), ...pageQuery(100, 1_000) }),
  },
  responses: { 200: jsonPage(Backfill, 'BackfillPage', 'Backfills'), ...tenantFailures },
});

const getBackfill = createRoute({
  method: 'get',
  path: '/v1/backfills/{id}',
  operationId: 'getBackfill',
  tags,
  summary: 'A backfill, and what it would change',
  security,
  request: thingOfTenant,
  responses: { 200: json(ShownBackfill, 'The backfill'), ...thingFailures },
});

const postClose = createRoute({
  method: 'post',
  path: '/v1/backfills/{id}/close',
  operationId: 'closeBackfill',
  tags,
  summary: 'Have the events of a backfill count',
  description:
    'All of them or none: one transaction, with one revision of each window that changes. Needs the scope correct.',
  security,
  request: thingOfTenant,
  responses: {
    200: json(Backfill, 'It is closed: its events are in the next read'),
    ...thingFailures,
    ...notStaged,
    413: problemAnswer('It would take the place of too many events'),
  },
});

const postRevert = createRoute({
  method: 'post',
  path: '/v1/backfills/{id}/revert',
  operationId: 'revertBackfill',
  tags,
  summary: 'Undo a closed backfill',
  description:
    'Wholly: what it has brought is void, what it has taken the place of counts again. Needs the scope correct.',
  security,
  request: { ...thingOfTenant, body: bodyLike(Reversion, reversion) },
  responses: { 200: json(Backfill, 'It is reverted'), ...thingFailures, ...bodyFailures, ...notStaged },
});

const dropped = { 200: json(Backfill, 'Its events are gone'), ...thingFailures, ...notStaged };
const deleteBackfill = createRoute({
  method: 'delete',
  path: '/v1/backfills/{id}',
  operationId: 'dropBackfill',
  tags,
  summary: 'Remove the events of a staged backfill',
  description: 'They have never counted. Needs the scope correct.',
  security,
  request: thingOfTenant,
  responses: dropped,
});

export function backfillRoutes(app: App, services: Services): void {
  const { backfills } = services;

  app.openapi(postBackfill, async (c) => {
    const context = await tenantOf(c, services, 'correct');
    const { from, to, customers, replace, reason } = c.req.valid('json');
    // With replace, an event just outside of what was asked for stays.
    const [fromMicros, toMicros] = [microsOf('from', from), microsOf('to', to)];
    if (fromMicros >= toMicros) throw new TidemarkError('range_invalid', 'from must be before to');
    const wanted = {
      fromMicros,
      toMicros,
      customers: customers === undefined ? null : [...new Set(customers)].sort(),
      replaces: replace,
      reason,
    };
    return c.json(await backfills.create(context, actorOf(c, services), wanted), 201);
  });

  app.openapi(getBackfills, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(await backfills.list(context, c.req.valid('query')), 200);
  });

  app.openapi(getBackfill, async (c) => {
    const context = await tenantOf(c, services, 'read');
    return c.json(await backfills.show(context, c.req.valid('param').id), 200);
  });

  app.openapi(postClose, async (c) => {
    const context = await tenantOf(c, services, 'correct');
    return c.json(await backfills.close(context, actorOf(c, services), c.req.valid('param').id), 200);
  });

  app.openapi(postRevert, async (c) => {
    const context = await tenantOf(c, services, 'correct');
    const { reason } = c.req.valid('json');
    return c.json(
      await backfills.revert(context, actorOf(c, services), c.req.valid('param').id, reason),
      200,
    );
  });

  app.openapi(deleteBackfill, async (c) => {
    const context = await tenantOf(c, services, 'correct');
    return c.json(await backfills.drop(context, actorOf(c, services), c.req.valid('param').id), 200);
  });
}
