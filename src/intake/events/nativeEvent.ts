import { z } from 'zod';

const text = (max: number) => z.string().min(1).max(max);
/** Longest texts, in UTF-16 code units. */
export const MAX_ID = 256;
export const MAX_ENDPOINT = 1_024;
export const MAX_EVENT_TYPE = 128;
export const MAX_TIMESTAMP = 64;
export const MAX_UNIT = 64;
/** Bounds that keep every sum of a day inside bigint and double, whatever is posted. */
export const MAX_TOKENS = 10_000_000_000;
export const MAX_LATENCY_MS = 1_000_000_000;
const count = z.int().min(0).max(MAX_TOKENS).nullish();

/** A time as it is sent: a text, or a number of a length that tells its unit. `parseTimestamp` reads both. */
export const WHEN =
  'ISO 8601 with a zone, or the time since 1970 in seconds (10 digits, with or without a fraction), ms (13), µs (16) or ' +
  'ns (19). Kept to the microsecond.';
export const When = z.union([z.string().max(MAX_TIMESTAMP), z.number()], 'must be a date-time');

/** The value of what knows its sign by itself. The dialects check that it is above 0. */
export const AboveZero = z.union([z.number(), z.string()], 'must be a number or a decimal string');
export const ABOVE_ZERO =
  'Above 0: a number or a decimal string. At most 38 digits, 18 after the point, kept to the last one.';

/** What has a column wherever an event has its metadata. */
export const METADATA_FIELDS = {
  tokens: count.meta({ description: 'Default: inputTokens + outputTokens.' }),
  model: text(MAX_ID).nullish(),
  latencyMs: z.number().min(0).max(MAX_LATENCY_MS).nullish(),
  inputTokens: count.meta({ description: 'All that went in, cached ones included.' }),
  outputTokens: count.meta({ description: 'All that came out, reasoning included.' }),
};

/** The native event, exactly as DESIGN names it. Unknown metadata is kept, unknown fields are refused. */
export const NativeEvent = z
  .strictObject({
    eventId: text(MAX_ID).meta({
      description: 'Identity of the event within its tenant. A UUID (UUIDv7 is fastest) or any other text.',
      example: '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60',
    }),
    timestamp: When.meta({
      format: 'date-time',
      description: `When it happened. ${WHEN}`,
    }),
    tenantId: text(MAX_ID)
      .optional()
      .meta({ description: 'May be left out where the key belongs to a tenant; must match it otherwise.' }),
    customerId: text(MAX_ID).meta({ description: 'Whom the event is about.', example: 'acme' }),
    apiEndpoint: text(MAX_ENDPOINT)
      .optional()
      .meta({ description: 'Required for api.request events.', example: '/api/completion' }),
    eventType: text(MAX_EVENT_TYPE).optional().meta({ description: 'Default: api.request.' }),
    sourceId: text(MAX_ID).optional(),
    reference: text(MAX_ID).optional().meta({ description: 'Order, invoice or session it belongs to.' }),
    sessionId: text(MAX_ID).optional().meta({ description: 'Another name for reference.' }),
    unit: text(MAX_UNIT).optional(),
    value: z.union([z.number(), z.string()]).optional().meta({
      description: 'Number or decimal string; at most 38 digits, 18 after the point, kept to the last one.',
    }),
    metadata: z.looseObject(METADATA_FIELDS).optional(),
  })
  .meta({ id: 'Event' });
export type NativeEvent = z.infer<typeof NativeEvent>;
