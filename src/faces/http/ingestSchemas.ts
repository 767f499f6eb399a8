import { z } from '@hono/zod-openapi';
import { bodyFailures, conflict, Fault, json, Problem, tenantFailures, tenantHeader } from './schemas.ts';

const unrecognisedUsage = z.int().optional().openapi({
  description:
    'Valid events with a usage object of an AI provider that could not be read: kept as sent, without tokens. Left out: none.',
});
const result = {
  accepted: z.int().openapi({ description: 'Events stored by this request: durable, and in every summary.' }),
  duplicates: z.int().openapi({ description: 'Events that had been stored before; counted once.' }),
  voided: z.int().optional().openapi({
    description: 'Of the duplicates those of events that are void: they are not counted. Left out: none.',
  }),
  rejected: z.int().optional().openapi({ description: 'With onInvalid=skip: invalid events, not stored.' }),
  results: z
    .array(
      z.object({
        index: z.int(),
        status: z.enum(['accepted', 'duplicate', 'invalid']),
        errors: z.array(Fault).optional(),
        voided: z.boolean().optional().openapi({ description: 'Of a duplicate: the event is void.' }),
        usageStatus: z
          .enum(['unknown', 'unrecognised'])
          .optional()
          .openapi({ description: 'Of its usage object, where it does not say all that was used.' }),
      }),
    )
    .optional()
    .openapi({ description: 'With onInvalid=skip: the verdict on each event.' }),
  unrecognisedUsage,
};
const Accepted = z.object(result).openapi('IngestResult');

const { accepted: _, voided: __, ...ofStaged } = result;
const Staged = z
  .object({
    staged: z
      .int()
      .openapi({ description: 'With backfill: events stored that do not count before it is closed.' }),
    ...ofStaged,
  })
  .openapi('StagedResult');

/** The problem, and where none of the events is valid with onInvalid=skip, the verdicts. */
export const EventsRefused = Problem.extend({
  ...result,
  accepted: result.accepted.optional(),
  duplicates: result.duplicates.optional(),
}).openapi('EventsRefused');

export const OnInvalid = z.enum(['reject', 'skip']);

/** What every route that takes events asks besides the body. */
export const ingestRequest = {
  headers: tenantHeader.extend({
    prefer: z
      .string()
      .optional()
      .openapi({ description: 'respond-async: answer 202 as soon as the events are queued.' }),
  }),
  query: z.object({
    onInvalid: OnInvalid.default('reject').openapi({
      description:
        'reject: one invalid event refuses the request. skip: store the valid ones; where there is none, 422.',
    }),
  }),
};

/** What a route that stages events, too, asks and answers besides. */
export const stagingRequest = {
  ...ingestRequest,
  query: ingestRequest.query.extend({
    backfill: z.uuid().optional().openapi({
      description:
        'Store them for this backfill, and do not count them before it is closed: docs/corrections.md. Needs the scope correct as well.',
    }),
  }),
};

/** What every such route answers. */
export const ingestResponses = {
  200: json(Accepted, 'The transaction that holds the events has committed'),
  202: json(z.object({ queued: z.int(), unrecognisedUsage }), 'Prefer: respond-async; the events are queued'),
  ...tenantFailures,
  ...bodyFailures,
  422: {
    description:
      'An event is invalid (with onInvalid=skip: every event is), or the database refuses one: errors tells its index; none ' +
      'of the request is stored, and repeating it changes nothing',
    content: { 'application/problem+json': { schema: EventsRefused } },
  },
};

export const stagingResponses = {
  ...ingestResponses,
  200: json(z.union([Accepted, Staged]), 'The transaction that holds the events has committed'),
  ...conflict('The backfill is not staged any more, or has as many events as it may have'),
};
