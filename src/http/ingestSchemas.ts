import { z } from '@hono/zod-openapi';
import { bodyFailures, Fault, json, Problem, tenantFailures, tenantHeader } from './schemas.ts';

const Accepted = z
  .object({
    accepted: z
      .int()
      .openapi({ description: 'Events stored by this request: durable, and in every summary.' }),
    duplicates: z.int().openapi({ description: 'Events that had been stored before; counted once.' }),
    rejected: z.int().optional().openapi({ description: 'With onInvalid=skip: invalid events, not stored.' }),
    results: z
      .array(
        z.object({
          index: z.int(),
          status: z.enum(['accepted', 'duplicate', 'invalid']),
          errors: z.array(Fault).optional(),
        }),
      )
      .optional()
      .openapi({ description: 'With onInvalid=skip: the verdict on each event.' }),
  })
  .openapi('IngestResult');

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
      description: 'reject: one invalid event refuses the request. skip: store the valid ones.',
    }),
  }),
};

/** What every such route answers. */
export const ingestResponses = {
  200: json(Accepted, 'The transaction that holds the events has committed'),
  202: json(z.object({ queued: z.int() }), 'Prefer: respond-async; the events are queued'),
  ...tenantFailures,
  ...bodyFailures,
  422: {
    description:
      'The database refuses one of the events: errors tells its index. None of the request is stored; with onInvalid=skip the others are',
    content: { 'application/problem+json': { schema: Problem } },
  },
};
