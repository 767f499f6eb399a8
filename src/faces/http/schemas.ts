import { z } from '@hono/zod-openapi';
import { ERROR_CODES } from '../../model/errors.ts';
import { numberText } from '../../model/json.ts';
import { isStorableText } from '../../model/text.ts';
import { refusal } from './refusal.ts';

/** What is wrong with one event of a body. */
export const Fault = z.object({ index: z.int(), pointer: z.string(), code: z.string(), message: z.string() });

/** RFC 9457 problem details, as every error is answered. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(ERROR_CODES),
    detail: z.string(),
    requestId: z.string(),
    errors: z.array(Fault).optional(),
  })
  .openapi('Problem');

/** A problem as one of a route's answers. */
export const problemAnswer = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: Problem } },
});

/** What any route under /v1 may answer besides its own. */
export const failures = {
  400: problemAnswer('The request is wrong: see code and errors'),
  401: problemAnswer('No key, or one that is unknown, revoked or expired'),
  403: problemAnswer('The key may not do this, or its tenant is inactive'),
  429: {
    ...problemAnswer(
      "More than the tenant's requests/s or events/s, or too many wrong keys from this address: nothing was done; try again after Retry-After",
    ),
    headers: z.object({
      'Retry-After': z.string().openapi({ description: 'Seconds.' }),
      'RateLimit-Policy': z.string().optional().openapi({
        description:
          'The limits, per second: draft-ietf-httpapi-ratelimit-headers-10. On every answer to a limited tenant.',
        example: '"requests";q=100;w=1, "events";q=5000;w=1',
      }),
      RateLimit: z.string().optional().openapi({
        description: 'What is left of each (r), and the seconds until all of it is back (t).',
        example: '"requests";r=99;t=1, "events";r=0;t=2',
      }),
    }),
  },
  500: problemAnswer('A fault of this service: the request id finds it in the log'),
  503: problemAnswer('Overloaded, stopping, or the database is away: try again after Retry-After'),
};
/** The same for routes that act for one tenant, and for those on one thing by its id. */
export const tenantFailures = { ...failures, 404: problemAnswer('There is no such tenant') };
export const thingFailures = { ...failures, 404: problemAnswer('There is no such thing') };
/** What a route with a body may answer besides. */
export const bodyFailures = {
  413: problemAnswer('The body is too large'),
  415: problemAnswer('Not a content type or encoding that is understood'),
};
export const conflict = (description: string) => ({ 409: problemAnswer(description) });
export const limitReached = conflict('The tenant has as many as it may have');

export const security = [{ key: [] }];

export const tenantHeader = z.object({
  'x-tenant-id': z
    .string()
    .min(1)
    .max(1_024) // bytes: an id has up to 256 characters
    .optional()
    .openapi({ description: 'The tenant to act for; needed with a platform key. UTF-8.' }),
});

const TIME =
  'ISO 8601 with a zone, or the time since 1970 in seconds (10 digits), ms (13), µs (16) or ns (19)';
const time = (description: string) =>
  z.string().max(64).optional().openapi({ format: 'date-time', description });

export const rangeQuery = {
  from: time(`Start, inclusive: ${TIME}.`),
  to: time(`End, exclusive: ${TIME}. Default: now, and what may be ahead of it.`),
};

/** Room for the longest one handed out: a position in usage by customer, endpoint, model and type, all escaped. */
const MAX_CURSOR_LENGTH = 14_000;

export const pageQuery = (defaultLimit: number, maxLimit: number) => ({
  cursor: z
    .string()
    .max(MAX_CURSOR_LENGTH)
    .optional()
    .openapi({ description: 'nextCursor of the page before.' }),
  limit: z.coerce.number().int().min(1).max(maxLimit).default(defaultLimit),
});

/** A whole number in a query that may be 0: digits, since `z.coerce` takes an empty text for 0. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,20}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    .openapi({ type: 'integer', minimum: min, maximum: max });

/** A text that the database can hold or compare with. */
export const text = (maxLength: number) =>
  z
    .string()
    .refine((sent) => numberText(sent) === undefined, {
      ...refusal('invalid_type', 'Invalid input: expected string, received number'),
      abort: true,
    })
    .min(1)
    .max(maxLength)
    .refine(isStorableText, refusal('text_invalid', 'must not contain NUL or unpaired surrogates'));

/** A number, or the text of one: with the digits of a number that no double holds (`keepDigits`). */
export const numeric = (maxLength: number, error: string) =>
  z.union(
    [
      z.number(),
      z
        .string()
        .overwrite((sent) => numberText(sent) ?? sent)
        .max(maxLength),
    ],
    { error },
  );

export const id = text(256);

/** `{data, nextCursor}` of something. */
export function pageSchema<Item extends z.ZodType>(item: Item, name: string) {
  return z
    .object({ data: z.array(item), nextCursor: z.string().nullable() })
    .openapi(name, { description: 'nextCursor is null on the last page.' });
}

/** A body of JSON, as an answer and as what a request must have. */
export const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});
export const jsonBody = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true,
  content: { 'application/json': { schema } },
});

/** A page of something, as an answer. */
export const jsonPage = <Item extends z.ZodType>(item: Item, name: string, description: string) =>
  json(pageSchema(item, name), description);

/** Who has corrected something, and why. */
export const CorrectionNote = z
  .object({
    id: z.uuid(),
    reason: z.string(),
    actor: z.object({
      kind: z.string(),
      keyId: z.string().nullable().openapi({ description: 'null: ADMIN_KEY.' }),
    }),
  })
  .openapi('CorrectionNote');

const CallsAndTokens = z.object({ calls: z.int(), tokens: z.int() });

/** Fields of a window's sums, closed or live. */
export const windowSums = {
  totalCalls: z.int(),
  totalTokens: z.int(),
  totalInputTokens: z.int(),
  totalOutputTokens: z.int(),
  avgLatencyMs: z.number().nullable(),
  byEndpoint: z.record(z.string(), CallsAndTokens),
  byModel: z.record(z.string(), CallsAndTokens),
};
