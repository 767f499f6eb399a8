import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { requireScope } from '../../../access/tenancy/caller.ts';
import { TidemarkError } from '../../../model/errors.ts';
import type { Scope } from '../../live/overview.ts';
import type { App, AppEnv } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { requestedTenant, requestHeader } from '../nodeHttp.ts';
import { json, security, tenantFailures, tenantHeader } from '../schemas.ts';
import type { Services } from '../services.ts';

const count = (description: string) => z.int().openapi({ description });
const counted = (description: string) =>
  z
    .int()
    .nullable()
    .openapi({ description: `${description} At most 10000 are counted.` });

const Overview = z
  .object({
    at: z.string(),
    tenantId: z.string().nullable().openapi({ description: 'null: all tenants together.' }),
    instance: z
      .object({
        id: z.string().openapi({ description: 'Of this run of the process.' }),
        since: z.string().openapi({ description: 'From when on its sums count.' }),
        accepted: count('Events stored for the first time.'),
        duplicates: count('Events that had been stored before.'),
        rejected: count('Events not stored because something is wrong with them.'),
        eventsPerSecond: z.number().nullable().openapi({
          description: 'Accepted since the sample before; null: nobody looks, so there is none.',
        }),
        ingestMs: z.object({ p50: z.number(), p99: z.number() }).nullable().openapi({
          description:
            'From a request being queued to its commit, of the last ten samples, within 2.5 %; null: there was none, or nobody looks.',
        }),
        queueRows: count('Events that wait to be written.'),
      })
      .openapi({ description: 'What the instance that answers has seen.' }),
    database: z
      .object({
        available: z.boolean().openapi({ description: 'Whether it answered when it was last asked.' }),
        asOf: z
          .string()
          .nullable()
          .openapi({ description: 'When the figures were so; null: not known yet.' }),
        ageMs: z.int().nullable(),
        closedUntil: z.string().nullable().openapi({ description: 'Up to when windows are closed.' }),
        lateWindows: counted('Closed windows whose late events some rollup still lacks.'),
        messagesWaiting: counted('Messages not yet made into deliveries.'),
        deliveriesPending: counted('Deliveries neither delivered nor dead.'),
        deadLetters: counted('Deliveries that were given up.'),
      })
      .openapi({ description: 'What the database says, of all instances: asked every two seconds at most.' }),
  })
  .openapi('Overview');

const WHOSE =
  'Of the tenant, for a key with the scope `read`; of all tenants together for a platform key with the scope `admin` that names none.';

const getOverview = createRoute({
  method: 'get',
  path: '/v1/live/overview',
  operationId: 'liveOverview',
  tags: ['Summaries'],
  summary: 'How things stand now',
  description: `What comes in, what waits, and what is behind. ${WHOSE}`,
  security,
  request: { headers: tenantHeader, query: z.strictObject({}) },
  responses: { 200: json(Overview, 'How things stand'), ...tenantFailures },
});

const getStream = createRoute({
  method: 'get',
  path: '/v1/live/stream',
  operationId: 'liveStream',
  tags: ['Summaries'],
  summary: 'How things stand, as it moves',
  description:
    `Server-sent events, one a second. ${WHOSE} First \`history\` \`{samples: [Overview]}\`, then \`sample\` (an Overview), and at its end \`end\` \`{code}\`: ` +
    '`shutting_down` (connect again), or what has become of the key or its tenant. ' +
    'With the id of the last one seen as `Last-Event-ID` nothing comes twice, and what was missed comes as `history` where the same run of the same instance answers; ' +
    'another one begins with the present, and with sums of its own, since a moment that it tells. A slow reader misses samples.',
  security,
  request: {
    headers: tenantHeader.extend({
      'last-event-id': z
        .string()
        .max(64)
        .optional()
        .openapi({ description: 'The id of the last event that was seen.' }),
    }),
    query: z.strictObject({}),
  },
  responses: {
    200: { description: 'The stream', content: { 'text/event-stream': { schema: z.string() } } },
    ...tenantFailures,
  },
});

export function liveViewRoutes(app: App, services: Services): void {
  const { liveView } = services;

  app.openapi(getOverview, async (c) => c.json(await liveView.overview(await scopeOf(c, services)), 200));

  app.openapi(getStream, async (c) => {
    const scope = await scopeOf(c, services);
    // The last answer on its connection: a client that comes back may be led to another instance.
    const headers = { 'Content-Type': 'text/event-stream', Connection: 'close', 'X-Accel-Buffering': 'no' };
    if (c.req.method === 'HEAD') return c.body(null, 200, headers);
    const lastEventId = requestHeader(c, 'last-event-id');
    return c.body(await liveView.open({ scope, caller: c.get('caller'), lastEventId }), 200, headers);
  });
}

/**
 * Whose figures a request is about.
 *
 * @throws {TidemarkError} `tenant_required`, and what `tenantOf` throws.
 */
async function scopeOf(c: Context<AppEnv>, services: Services): Promise<Scope> {
  const caller = c.get('caller');
  if (caller.tenantId !== null || requestedTenant(c) !== undefined) {
    return (await tenantOf(c, services, 'read')).tenantId;
  }
  if (caller.scopes.has('admin')) return null;
  requireScope(caller, 'read');
  throw new TidemarkError(
    'tenant_required',
    'name the tenant in X-Tenant-Id; all together are shown to a platform key with the scope "admin"',
  );
}
