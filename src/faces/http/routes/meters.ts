import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { TidemarkError } from '../../../model/errors.ts';
import { stringifyJson } from '../../../model/json.ts';
import { archiveMeter } from '../../../sums/meters/catalog/archiveMeter.ts';
import { createMeter } from '../../../sums/meters/catalog/createMeter.ts';
import { getMeter } from '../../../sums/meters/catalog/getMeter.ts';
import { listMeters } from '../../../sums/meters/catalog/listMeters.ts';
import { findLiveMeter, type Meter } from '../../../sums/meters/catalog/meter.ts';
import { definitionJson, invalidMeter, requireNewMeter } from '../../../sums/meters/catalog/newMeter.ts';
import { requireMeterChanges, updateMeter } from '../../../sums/meters/catalog/updateMeter.ts';
import { checkMeterDefinition } from '../../../sums/meters/definition/meterDefinition.ts';
import { dimensionValues } from '../../../sums/meters/reading/dimensionValues.ts';
import { ignoredEvents } from '../../../sums/meters/reading/ignoredEvents.ts';
import { previewMeter } from '../../../sums/meters/reading/previewMeter.ts';
import { answerMeter, meterAnswer, meterBeginning, meterParameters } from '../answerMeter.ts';
import type { App, AppEnv } from '../appEnv.ts';
import { administer, tenantOf } from '../context.ts';
import { invalidRequest } from '../invalidRequest.ts';
import { meterRange } from '../meterQuery.ts';
import {
  DimensionValueSchema,
  MeterChangesBody,
  MeterSchema,
  MeterWithIgnored,
  NewMeterBody,
  Preview,
  PreviewBody,
} from '../meterSchemas.ts';
import { readJson } from '../readJson.ts';
import {
  bodyFailures,
  conflict,
  json,
  jsonBody,
  jsonPage,
  pageQuery,
  rangeQuery,
  security,
  tenantFailures,
  tenantHeader,
  text,
  thingFailures,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Meters'];
const MOST_PREVIEWED = 1_000;
const thing = {
  headers: tenantHeader,
  params: z.object({
    slug: text(64).openapi({ description: 'The slug of a live meter, or the id of any.' }),
  }),
};

const postMeter = createRoute({
  method: 'post',
  path: '/v1/meters',
  operationId: 'createMeter',
  tags,
  summary: 'Make a meter',
  description:
    'It answers for the past at once, as far back as events are kept, and is exact from the first answer on. What makes ' +
    'its numbers cannot be changed later; name, description and added dimensions can. See docs/meters.md.',
  security,
  request: {
    headers: tenantHeader,
    body: {
      required: true,
      content: {
        'application/json': {
          schema: NewMeterBody,
          examples: {
            sum: {
              summary: 'Gigabytes by region',
              value: {
                slug: 'egress_gb',
                eventType: 'egress',
                aggregation: 'sum',
                value: '$.gb',
                dimensions: { region: '$.region' },
              },
            },
            unique: {
              summary: 'Distinct documents that were written',
              value: {
                slug: 'documents',
                name: 'Documents',
                eventType: 'document',
                aggregation: 'uniqueCount',
                value: '$.documentId',
                filter: [{ path: '$.action', in: ['create', 'update'] }],
              },
            },
          },
        },
      },
    },
  },
  responses: {
    201: json(MeterSchema, 'The meter'),
    ...tenantFailures,
    ...bodyFailures,
    ...conflict('There is a meter with this slug, or the tenant has as many as it may have'),
  },
});

const getMeters = createRoute({
  method: 'get',
  path: '/v1/meters',
  operationId: 'listMeters',
  tags,
  summary: 'Meters, oldest first',
  security,
  request: {
    headers: tenantHeader,
    query: z.strictObject({
      archived: z.enum(['true', 'false']).default('false').openapi({ description: 'Also archived ones.' }),
      ...pageQuery(100, 1_000),
    }),
  },
  responses: { 200: jsonPage(MeterSchema, 'MeterPage', 'Meters'), ...tenantFailures },
});

const getOne = createRoute({
  method: 'get',
  path: '/v1/meters/{slug}',
  operationId: 'getMeter',
  tags,
  summary: 'One meter, how far its past is summed up, and what it has ignored',
  security,
  request: thing,
  responses: { 200: json(MeterWithIgnored, 'The meter'), ...thingFailures },
});

const patchMeter = createRoute({
  method: 'patch',
  path: '/v1/meters/{slug}',
  operationId: 'updateMeter',
  tags,
  summary: 'Change the name, the description, or add dimensions',
  description:
    'What is left out stays. Dimensions are added to those that are there; for what has no single events any more they have ' +
    'no value. What makes the numbers cannot be changed: make another meter.',
  security,
  request: {
    ...thing,
    body: {
      required: true,
      content: {
        'application/json': {
          schema: MeterChangesBody,
          example: { name: 'Egress', dimensions: { zone: '$.zone' } },
        },
      },
    },
  },
  responses: { 200: json(MeterSchema, 'The meter'), ...thingFailures, ...bodyFailures },
});

const removeMeter = createRoute({
  method: 'delete',
  path: '/v1/meters/{slug}',
  operationId: 'archiveMeter',
  tags,
  summary: 'Archive a meter',
  description:
    'It counts and answers no more, and its slug is free. Events stay: made again, it counts them again.',
  security,
  request: thing,
  responses: {
    204: { description: 'Archived' },
    ...thingFailures,
    ...conflict('An alert rule measures it (meter_in_use): delete the rule first'),
  },
});

const getQuery = createRoute({
  method: 'get',
  path: '/v1/meters/{slug}/query',
  operationId: 'queryMeter',
  tags,
  summary: 'The numbers of a meter',
  description:
    'One row for the range, or one per window where granularity is given, and one per group where groupBy is. The range is ' +
    'taken to the microsecond; a window that it cuts has its whole bounds and the numbers of the part. Windows without ' +
    'events are left out. By default the last 120 windows; without granularity, the last day. ' +
    'filter[NAME]=VALUE keeps what has that value of a dimension, several times: one of them. Accept: text/csv returns ' +
    'CSV, with the cursor of the next page in X-Next-Cursor.',
  security,
  request: {
    ...thing,
    query: z.object(meterParameters),
  },
  responses: {
    200: meterAnswer,
    ...thingFailures,
  },
});

const getValues = createRoute({
  method: 'get',
  path: '/v1/meters/{slug}/values/{dimension}',
  operationId: 'dimensionValues',
  tags,
  summary: 'The values of a dimension',
  description: 'With how many events have each, in order; no value comes first. Default range: the last day.',
  security,
  request: {
    headers: tenantHeader,
    params: z.object({
      ...thing.params.shape,
      dimension: text(64).openapi({ description: 'Its name, or customer.' }),
    }),
    query: z.strictObject({ ...rangeQuery, ...pageQuery(100, 10_000) }),
  },
  responses: {
    200: jsonPage(DimensionValueSchema, 'DimensionValuePage', 'Values'),
    ...thingFailures,
  },
});

const postPreview = createRoute({
  method: 'post',
  path: '/v1/meters/preview',
  operationId: 'previewMeter',
  tags,
  summary: 'Try a definition on the last events',
  description: 'Nothing is made. For each of the last events of the type: counted, or ignored and why.',
  security,
  request: {
    headers: tenantHeader,
    body: {
      ...jsonBody(PreviewBody),
      content: {
        'application/json': {
          schema: PreviewBody,
          example: {
            definition: { eventType: 'egress', aggregation: 'sum', value: '$.gb' },
            events: 20,
          },
        },
      },
    },
  },
  responses: { 200: json(Preview, 'What it would make of them'), ...tenantFailures, ...bodyFailures },
});

export function meterRoutes(app: App, services: Services): void {
  const { admin, reads, config } = services;
  /** As c.json(value) would, but for numbers that are not to become doubles. */
  const answer = (c: Context<AppEnv>, value: unknown, status: 200 | 201 = 200) =>
    c.body(stringifyJson(value), status, { 'Content-Type': 'application/json' }) as never;
  /** Also where the route is not checked by its description. @throws {TidemarkError} `invalid_request`. */
  const slugOf = (c: Context<AppEnv>): string => {
    const { data, error } = thing.params.shape.slug.safeParse(c.req.param('slug'));
    if (data !== undefined) return data;
    throw invalidRequest(error!.issues.map((issue) => ({ ...issue, path: ['slug', ...issue.path] })));
  };

  // Described like the others, but read by hand: definitions are checked by one place, whoever brings them.
  app.openAPIRegistry.registerPath(postPreview);
  app.post('/v1/meters/preview', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { definition, events } = previewOf(await readJson(c));
    return answer(c, await reads.inOneMoment(context, (db) => previewMeter(db, context, definition, events)));
  });

  app.openAPIRegistry.registerPath(postMeter);
  app.post('/v1/meters', async (c) => {
    const { context, actor } = await administer(c, services);
    const meter = requireNewMeter(await readJson(c));
    return answer(
      c,
      meterJson(await createMeter(admin, context, meter, config.meters.perTenant, actor)),
      201,
    );
  });

  app.openapi(getMeters, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { archived, ...query } = c.req.valid('query');
    const page = await listMeters(admin, context, { ...query, archived: archived === 'true' });
    return answer(c, { ...page, data: page.data.map(meterJson) });
  });

  app.openapi(getOne, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const meter = await getMeter(admin, context, slugOf(c));
    const ignored = await reads.inOneMoment(context, (db) => ignoredEvents(db, context, meter));
    return answer(c, { ...meterJson(meter), ignored });
  });

  app.openAPIRegistry.registerPath(patchMeter);
  app.patch('/v1/meters/:slug', async (c) => {
    const { context, actor } = await administer(c, services);
    const changes = requireMeterChanges(await readJson(c));
    return answer(c, meterJson(await updateMeter(admin, context, slugOf(c), changes, actor)));
  });

  app.openapi(removeMeter, async (c) => {
    const { context, actor } = await administer(c, services);
    await archiveMeter(admin, context, slugOf(c), actor);
    return c.body(null, 204);
  });

  // By hand, since the names of its filters are the meter's.
  app.openAPIRegistry.registerPath(getQuery);
  app.get('/v1/meters/:slug/query', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const meter = await findLiveMeter(reads.as(context), context.tenantId, slugOf(c));
    return answerMeter(c, services, context, meter);
  });

  app.openapi(getValues, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { slug, dimension } = c.req.valid('param');
    const { from, to, cursor, limit } = c.req.valid('query');
    const meter = await findLiveMeter(reads.as(context), context.tenantId, slug);
    if (dimension !== 'customer' && !Object.hasOwn(meter.definition.dimensions, dimension)) {
      throw new TidemarkError('not_found', 'the meter has no such dimension');
    }
    const range = await meterRange({ from, to }, services, meterBeginning(services, context, meter));
    const page = await reads.inOneMoment(context, (db) =>
      dimensionValues(db, context, meter, dimension, { ...range, customers: null, cursor, limit }),
    );
    const data = page.data.map(({ value, events }) => ({ value, events: Number(events) }));
    return c.json({ data, nextCursor: page.nextCursor }, 200);
  });
}

/** A meter as it is answered. */
export function meterJson({ definition, seriesId: _, ...meter }: Meter) {
  const { id, tenantId, slug, name, description, fill, createdAt, updatedAt, archivedAt } = meter;
  const made = { createdAt, updatedAt, archivedAt };
  return { id, tenantId, slug, name, description, ...definitionJson(definition), fill, ...made };
}

/** @throws {TidemarkError} `invalid_request`. */
function previewOf(body: unknown) {
  const sent = PreviewRequest.safeParse(body);
  if (!sent.success) throw invalidRequest(sent.error.issues);
  const { definition, faults } = checkMeterDefinition(sent.data.definition, ['slug', 'name', 'description']);
  if (faults) {
    throw invalidMeter(faults.map((fault) => ({ ...fault, pointer: `/definition${fault.pointer}` })));
  }
  return { definition, events: sent.data.events };
}

const PreviewRequest = z.strictObject({
  definition: z.unknown(),
  events: z.int().min(1).max(MOST_PREVIEWED).default(100),
});
