import { TidemarkError } from '../../../../model/errors.ts';
import { archiveMeter } from '../../../../sums/meters/catalog/archiveMeter.ts';
import { createMeter } from '../../../../sums/meters/catalog/createMeter.ts';
import { getMeter } from '../../../../sums/meters/catalog/getMeter.ts';
import { listMeters } from '../../../../sums/meters/catalog/listMeters.ts';
import type { Meter } from '../../../../sums/meters/catalog/meter.ts';
import { requireNewMeter } from '../../../../sums/meters/catalog/newMeter.ts';
import type { Aggregation } from '../../../../sums/meters/definition/meterDefinition.ts';
import type { App } from '../../appEnv.ts';
import { administer, tenantOf } from '../../context.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { memberName, memberPath } from '../memberPath.ts';
import { slugOf } from '../slugOf.ts';
import { requireObject, smallObject } from '../smallBody.ts';
import { wholeList } from '../wholeList.ts';
import { refuseField } from './lagoError.ts';
import { pageMeta, requirePage } from './pages.ts';

/** Lago's aggregations that are ours too. */
const AGGREGATION: Record<string, Aggregation> = {
  count_agg: 'count',
  sum_agg: 'sum',
  max_agg: 'max',
  unique_count_agg: 'uniqueCount',
  latest_agg: 'latest',
};
const THEIRS = new Map(Object.entries(AGGREGATION).map(([theirs, ours]) => [ours, theirs]));

/** What would change a metric's numbers in a way that a meter has not. */
const NOT_OURS = ['expression', 'rounding_function', 'rounding_precision', 'weighted_interval'];

export function billableMetricRoutes(app: App, services: Services): void {
  app.post('/api/v1/billable_metrics', async (c) => {
    const { context, actor } = await administer(c, services);
    const { billable_metric } = await smallObject(c);
    const meter = requireNewMeter(toMeter(requireObject(billable_metric, 'billable_metric')));
    const { perTenant } = services.config.meters;
    const made = await createMeter(services.admin, context, meter, perTenant, actor).catch(
      (error: unknown) => {
        const exists = error instanceof TidemarkError && error.code === 'meter_exists';
        if (exists) refuseField('code', 'value_already_exist', 'is that of a metric already');
        throw error;
      },
    );
    return jsonAnswer(c, { billable_metric: toMetric(made) });
  });

  app.get('/api/v1/billable_metrics', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { page, perPage } = requirePage(c);
    const meters = await wholeList((part) => listMeters(services.admin, context, part));
    const metrics = meters.filter(isMetric);
    const shown = metrics.slice((page - 1) * perPage, page * perPage).map(toMetric);
    return jsonAnswer(c, { billable_metrics: shown, meta: pageMeta(page, perPage, metrics.length) });
  });

  app.get('/api/v1/billable_metrics/:code', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const meter = await getMeter(services.admin, context, slugOf(c.req.param('code')));
    requireMetric(meter);
    return jsonAnswer(c, { billable_metric: toMetric(meter) });
  });

  app.delete('/api/v1/billable_metrics/:code', async (c) => {
    const { context, actor } = await administer(c, services);
    const meter = await getMeter(services.admin, context, slugOf(c.req.param('code')));
    requireMetric(meter);
    await archiveMeter(services.admin, context, meter.id, actor);
    return jsonAnswer(c, { billable_metric: toMetric(meter) });
  });
}

/** A metric as the meter that is to be made. Its filters are dimensions: they choose no events, here as there. */
function toMeter(metric: Record<string, unknown>): Record<string, unknown> {
  const { code, name, description, aggregation_type, field_name, recurring, filters } = metric;
  if (typeof code !== 'string' || code === '') refuseField('code', 'value_is_mandatory', 'is required');
  const aggregation = Object.hasOwn(AGGREGATION, String(aggregation_type))
    ? AGGREGATION[String(aggregation_type)]
    : undefined;
  if (aggregation === undefined) {
    const known = Object.keys(AGGREGATION).join(', ');
    refuseField('aggregation_type', 'value_is_invalid', `may be ${known} here`);
  }
  for (const field of NOT_OURS) {
    if (metric[field] != null) refuseField(field, 'value_is_invalid', 'is not something that is done here');
  }
  if (recurring === true)
    refuseField('recurring', 'value_is_invalid', 'may be false only: here no period has a state');
  const isCount = aggregation === 'count';
  if (!isCount && (typeof field_name !== 'string' || field_name === '')) {
    refuseField('field_name', 'value_is_mandatory', 'is required');
  }
  return {
    slug: slugOf(code),
    name: name ?? code,
    description: description === '' ? null : description,
    eventType: code,
    aggregation,
    value: isCount ? null : memberPath(field_name as string),
    dimensions: dimensionsOf(filters),
  };
}

function dimensionsOf(filters: unknown): Record<string, string> {
  if (filters == null) return {};
  if (!Array.isArray(filters)) refuseField('filters', 'invalid_format', 'must be an array');
  const names = filters.map((filter) => requireObject(filter, 'a filter').key);
  return Object.fromEntries(
    names.map((name) => {
      if (typeof name !== 'string') refuseField('filters', 'value_is_mandatory', 'need a key each');
      return [name, memberPath(name)];
    }),
  );
}

/** Whether Lago could have made a meter: other ones have no code to be found by. */
function isMetric({ slug, definition }: Meter): boolean {
  const { eventType, aggregation, value, filter } = definition;
  const known = THEIRS.has(aggregation) && slug === slugOf(eventType) && filter.length === 0;
  return known && (value === null || memberName(value) !== undefined);
}

function requireMetric(meter: Meter): void {
  if (!isMetric(meter)) throw new TidemarkError('not_found', 'there is no such billable metric');
}

function toMetric({ id, name, description, createdAt, definition }: Meter) {
  const { aggregation, value, dimensions } = definition;
  return {
    lago_id: id,
    name,
    code: definition.eventType,
    description,
    recurring: false,
    rounding_function: null,
    rounding_precision: null,
    created_at: createdAt,
    expression: null,
    field_name: value === null ? null : memberName(value),
    aggregation_type: THEIRS.get(aggregation),
    weighted_interval: null,
    filters: Object.keys(dimensions).map((key) => ({ key, values: [] })),
  };
}
