import { TidemarkError } from '../../../../model/errors.ts';
import { formatTimestamp } from '../../../../model/timestamp.ts';
import { archiveMeter } from '../../../../sums/meters/catalog/archiveMeter.ts';
import { createMeter } from '../../../../sums/meters/catalog/createMeter.ts';
import { getMeter } from '../../../../sums/meters/catalog/getMeter.ts';
import { listMeters } from '../../../../sums/meters/catalog/listMeters.ts';
import type { Meter } from '../../../../sums/meters/catalog/meter.ts';
import { requireNewMeter } from '../../../../sums/meters/catalog/newMeter.ts';
import { requireMeterChanges, updateMeter } from '../../../../sums/meters/catalog/updateMeter.ts';
import type { Aggregation } from '../../../../sums/meters/definition/meterDefinition.ts';
import type { App } from '../../appEnv.ts';
import { administer, tenantOf } from '../../context.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { smallObject } from '../smallBody.ts';
import { wholeList } from '../wholeList.ts';
import { inTheirWords } from './problems.ts';

const AGGREGATION: Record<string, Aggregation> = {
  SUM: 'sum',
  COUNT: 'count',
  UNIQUE_COUNT: 'uniqueCount',
  AVG: 'avg',
  MIN: 'min',
  MAX: 'max',
  LATEST: 'latest',
};
const THEIRS = new Map(Object.entries(AGGREGATION).map(([theirs, ours]) => [ours, theirs]));

export function meterRoutes(app: App, services: Services): void {
  app.post('/api/v1/meters', async (c) => {
    const { context, actor } = await administer(c, services);
    const body = await smallObject(c);
    try {
      const { perTenant } = services.config.meters;
      const made = await createMeter(
        services.admin,
        context,
        requireNewMeter(toMeter(body)),
        perTenant,
        actor,
      );
      return jsonAnswer(c, fromMeter(made), 201);
    } catch (error) {
      throw inTheirWords(error);
    }
  });

  app.get('/api/v1/meters', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const archived = c.req.query('includeDeleted') === 'true';
    const meters = await wholeList((part) => listMeters(services.admin, context, { ...part, archived }));
    const key = sortKey(c.req.query('orderBy') ?? 'key');
    const sign = c.req.query('order') === 'DESC' ? -1 : 1;
    meters.sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : 0));
    return jsonAnswer(c, meters.map(fromMeter));
  });

  app.get('/api/v1/meters/:meter', async (c) => {
    const context = await tenantOf(c, services, 'read');
    return jsonAnswer(c, fromMeter(await getMeter(services.admin, context, c.req.param('meter'))));
  });

  app.put('/api/v1/meters/:meter', async (c) => {
    const { context, actor } = await administer(c, services);
    const { name, description, groupBy } = await smallObject(c);
    const { id, slug } = await getMeter(services.admin, context, c.req.param('meter'));
    try {
      // A name that is left out is the slug again, as there; dimensions are only added.
      const changes = requireMeterChanges({
        name: name ?? slug,
        description,
        dimensions: groupBy ?? undefined,
      });
      return jsonAnswer(c, fromMeter(await updateMeter(services.admin, context, id, changes, actor)));
    } catch (error) {
      throw inTheirWords(error);
    }
  });

  app.delete('/api/v1/meters/:meter', async (c) => {
    const { context, actor } = await administer(c, services);
    await archiveMeter(services.admin, context, c.req.param('meter'), actor);
    return c.body(null, 204);
  });
}

/** What its client sends to make one, in our words. Metadata and annotations of a meter are not kept. */
function toMeter(sent: Record<string, unknown>): Record<string, unknown> {
  const { slug, name, description, eventType, eventFrom, aggregation, valueProperty, groupBy } = sent;
  const known = typeof aggregation === 'string' && Object.hasOwn(AGGREGATION, aggregation);
  return {
    slug,
    name: name ?? undefined,
    description: description ?? undefined,
    eventType,
    eventFrom: eventFrom ?? undefined,
    aggregation: known ? AGGREGATION[aggregation] : (aggregation ?? undefined),
    value: valueProperty ?? undefined,
    dimensions: groupBy ?? undefined,
  };
}

/** A meter as its client reads it. What it does not know of a meter of ours is beside it: the filter. */
function fromMeter(meter: Meter) {
  const { aggregation, eventType, eventFromMicros, value, dimensions, filter } = meter.definition;
  return {
    id: meter.id,
    slug: meter.slug,
    name: meter.name,
    ...(meter.description !== null && { description: meter.description }),
    aggregation: THEIRS.get(aggregation)!,
    eventType,
    ...(eventFromMicros !== null && { eventFrom: formatTimestamp(eventFromMicros) }),
    ...(value !== null && { valueProperty: value }),
    groupBy: dimensions,
    ...(filter.length > 0 && { filter }),
    createdAt: meter.createdAt,
    updatedAt: meter.updatedAt,
    ...(meter.archivedAt !== null && { deletedAt: meter.archivedAt }),
  };
}

function sortKey(orderBy: string): (meter: Meter) => string {
  switch (orderBy) {
    case 'key':
      return ({ slug }) => slug;
    case 'name':
      return ({ name }) => name;
    case 'aggregation':
      return ({ definition }) => definition.aggregation;
    case 'createdAt':
      return ({ createdAt }) => createdAt;
    case 'updatedAt':
      return ({ updatedAt }) => updatedAt;
    default:
      throw new TidemarkError(
        'invalid_request',
        'orderBy may be key, name, aggregation, createdAt or updatedAt',
      );
  }
}
