import { z } from '@hono/zod-openapi';
import { MAX_DESCRIPTION, MAX_NAME, MAX_SLUG, SLUG } from '../../sums/meters/catalog/newMeter.ts';
import { AGGREGATIONS } from '../../sums/meters/definition/meterDefinition.ts';

/*
 * What meters look like on the wire, for the description. Bodies are checked by `sums/meters/definition`, which tells
 * faults with codes of its own.
 */

const path = z.string().max(1_024);
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const bound = z.union([z.number(), z.string()]);

const Condition = z
  .union([
    z.object({ path, equals: scalar }),
    z.object({ path, in: z.array(scalar).min(1).max(100) }),
    z.object({ path, exists: z.boolean() }),
    z.object({ path, greaterThan: bound }),
    z.object({ path, greaterOrEqual: bound }),
    z.object({ path, lessThan: bound }),
    z.object({ path, lessOrEqual: bound }),
  ])
  .openapi('MeterCondition', {
    description:
      'What must hold of the value at a path (RFC 9535). equals and in compare numbers by value and everything else as it ' +
      'is; the comparisons read numbers and numeric strings, and do not hold of anything else.',
  });

const slug = z.string().regex(SLUG).max(MAX_SLUG);
const dimensions = z.record(z.string(), path).openapi({
  description: 'At most 10: a name, and the path of the value by which results can be told apart.',
  example: { model: '$.model' },
});

const definition = {
  eventType: z.string().openapi({ description: 'Events of this type, exactly.' }),
  eventFrom: z.string().nullable().optional().openapi({ description: 'What lies before it does not count.' }),
  aggregation: z.enum(AGGREGATIONS),
  value: path
    .nullable()
    .optional()
    .openapi({
      description:
        "Singular JSONPath (RFC 9535) over the event's document: data of a CloudEvent; metadata and named fields of a " +
        'native event. Of every aggregation but count.',
    }),
  dimensions: dimensions.optional(),
  filter: z.array(Condition).max(20).optional().openapi({ description: 'All must hold.' }),
};

export const NewMeterBody = z
  .object({
    slug,
    name: z.string().max(MAX_NAME).optional().openapi({ description: 'Left out: the slug.' }),
    description: z.string().max(MAX_DESCRIPTION).nullable().optional(),
    ...definition,
  })
  .openapi('NewMeter');

export const MeterChangesBody = z
  .object({
    name: z.string().max(MAX_NAME).optional(),
    description: z.string().max(MAX_DESCRIPTION).nullable().optional(),
    dimensions: dimensions.optional(),
  })
  .openapi('MeterChanges', {
    description: 'What is left out stays; dimensions are added to those there are.',
  });

export const PreviewBody = z
  .object({
    definition: z.object({
      ...definition,
      slug: slug.optional(),
      name: z.string().optional(),
      description: z.string().nullable().optional(),
    }),
    events: z.int().min(1).max(1_000).default(100).openapi({ description: 'So many of the last ones.' }),
  })
  .openapi('MeterPreviewRequest');

const meter = {
  id: z.uuid(),
  tenantId: z.string(),
  slug,
  name: z.string(),
  description: z.string().nullable(),
  eventType: z.string(),
  eventFrom: z.string().nullable(),
  aggregation: z.enum(AGGREGATIONS),
  value: z.string().nullable(),
  dimensions: z.record(z.string(), z.string()),
  filter: z.array(Condition),
  fill: z
    .object({
      state: z.enum(['filling', 'complete']),
      from: z.string().nullable().openapi({
        description: 'From here on it is summed up; null: nothing is yet, or, when complete, all is.',
      }),
      goal: z
        .string()
        .nullable()
        .openapi({ description: 'Down to where it is to be; null: as far back as there are events.' }),
      eventsKeptFrom: z
        .string()
        .nullable()
        .openapi({ description: 'Since when single events are kept; null: all are.' }),
    })
    .openapi({
      description: 'How far its past is summed up. What is not comes from the events: as exact, and slower.',
    }),
  createdAt: z.string(),
  updatedAt: z.string(),
  archivedAt: z.string().nullable(),
};

export const MeterSchema = z.object(meter).openapi('Meter');

export const MeterWithIgnored = z
  .object({
    ...meter,
    ignored: z.object({ missing: z.int(), null: z.int(), notANumber: z.int(), outOfRange: z.int() }).openapi({
      description: 'Events that match and have no value to aggregate, by reason, as far as it is summed up.',
    }),
  })
  .openapi('MeterWithIgnored');

export const MeterPointSchema = z
  .object({
    windowStart: z.string(),
    windowEnd: z.string(),
    customerId: z.string().optional(),
    dimensions: z.record(z.string(), z.string().nullable()).optional(),
    value: z
      .string()
      .nullable()
      .openapi({ description: 'Exact decimal; null: no event had a value.', example: '12.5' }),
    number: z.number().nullable().openapi({ description: 'The same as a JSON number, with all its digits.' }),
    events: z.int().openapi({ description: 'Events that match.' }),
    ignored: z.int().openapi({ description: 'Of them those without a value to aggregate.' }),
    state: z.enum(['open', 'closed', 'revised']).openapi({
      description:
        'open: some of it can still change in the usual way. revised: late events have changed it.',
    }),
    revision: z.int().openapi({ description: 'How often its windows were changed since they closed.' }),
  })
  .openapi('MeterPoint');

export const DimensionValueSchema = z
  .object({ value: z.string().nullable(), events: z.int() })
  .openapi('DimensionValue');

/** What an event is to a meter. */
export const verdict = {
  verdict: z.enum(['counted', 'ignored']),
  value: z.string().optional(),
  dimensions: z.record(z.string(), z.string().nullable()).optional(),
  reason: z
    .enum([
      'missing',
      'null',
      'not_a_number',
      'not_a_scalar',
      'out_of_range',
      'filtered',
      'before_event_from',
    ])
    .optional(),
};

export const Preview = z
  .object({
    counted: z.int(),
    ignored: z.record(z.string(), z.int()).openapi({ description: 'By reason.' }),
    results: z
      .array(z.object({ eventId: z.string(), timestamp: z.string(), customerId: z.string(), ...verdict }))
      .openapi({ description: 'Newest first.' }),
    value: z.string().nullable().openapi({ description: 'Of these events alone; exact decimal.' }),
  })
  .openapi('MeterPreview');
