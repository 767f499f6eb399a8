import { z } from 'zod';
import { SCOPES } from '../../access/tenancy/caller.ts';
import { MAX_ENDPOINT, MAX_EVENT_TYPE, MAX_ID, MAX_LATENCY_MS } from '../../intake/events/nativeEvent.ts';
import { parseDecimal } from '../../model/decimal.ts';
import { isStorableText } from '../../model/text.ts';
import {
  ALERT_FIELDS,
  currencyFault,
  USAGE_MEASURES,
  USAGE_PERIODS,
} from '../../outbound/delivery/messageTypes.ts';
import { CURRENCY } from '../../sums/costs/catalog/price.ts';
import { MAX_DESCRIPTION, MAX_NAME, MAX_SLUG } from '../../sums/meters/catalog/newMeter.ts';
import { AGGREGATIONS } from '../../sums/meters/definition/meterDefinition.ts';

/*
 * What each file of seeds/ may say. seeds/README.md says what it means; seeds/*.schema.json, for editors, are made from
 * here by `npm run docs:seeds`. What holds between files is checked by `readSeeds`.
 */

/** Room for the number that copies of a tenant have behind their ids (`tenantModels`). */
const MAX_TENANT_ID = MAX_ID - 12;
const MAX_ROWS = 10_000;
const MAX_RULE_CUSTOMERS = 200;
const MAX_WEIGHT = 1_000_000_000;
const MAX_EVENTS = 10_000;
const DAY_MS = 86_400_000;
const MAX_MODEL_TOKENS = 1_000_000_000;

const text = (max: number) =>
  z.string().min(1).max(max).refine(isStorableText, 'must not contain NUL or unpaired surrogates');
const id = text(MAX_ID);
/** Of a tenant. It is sent in a header field, which has no line ends and no space around it (RFC 9110, 5.5). */
const tenantId = text(MAX_TENANT_ID).refine(
  (sent) => !/\p{Cc}|^ | $/u.test(sent),
  'must not contain control characters, or have a space around it: it is sent in a header field',
);
const chance = z.number().min(0).max(1);
const weight = z.number().min(0).max(MAX_WEIGHT);
const $schema = z.string().optional();

/** Log-normal: by its median, and the standard deviation of its logarithm. */
const distribution = (max: number) =>
  z.strictObject({ median: z.number().min(0).max(max), sigma: z.number().min(0).max(5) });
export type Distribution = z.infer<ReturnType<typeof distribution>>;

/** An array of 1 to `max`. */
const some = <Item extends z.ZodType>(item: Item, max = MAX_ROWS) => z.array(item).min(1).max(max);

const Tenants = z.strictObject({
  $schema,
  firstStart: tenantId,
  tenants: some(
    z.strictObject({
      id: tenantId,
      name: id,
      keyScopes: some(z.enum(SCOPES), SCOPES.length),
    }),
  ),
});

const Customers = z.strictObject({
  $schema,
  customers: some(
    z.strictObject({
      tenant: id,
      id,
      name: id.nullable().optional(),
      weight: weight.default(1),
    }),
  ),
});

const ofRule = {
  tenant: id,
  name: id,
  threshold: z
    .string({ error: 'must be a decimal in quotes, so that none of its digits is lost' })
    .max(100)
    .refine(
      (sent) => parseDecimal(sent) !== null,
      'must be a decimal of at most 38 digits, 18 of them after the point',
    )
    .overwrite((sent) => parseDecimal(sent) ?? sent),
  currency: z.string().regex(CURRENCY, 'must be three capital letters, as in USD').optional(),
  customers: some(id, MAX_RULE_CUSTOMERS).nullable().optional(),
  eventType: text(MAX_EVENT_TYPE).nullable().optional(),
};

const AlertRules = z.strictObject({
  $schema,
  /** Each is what `POST /v1/alert-rules` takes, and whose it is. */
  alertRules: z
    .array(
      z
        .discriminatedUnion('kind', [
          z.strictObject({ kind: z.literal('event'), field: z.enum(ALERT_FIELDS), ...ofRule }),
          z.strictObject({
            kind: z.literal('usage'),
            measure: z.enum(USAGE_MEASURES),
            period: z.enum(USAGE_PERIODS),
            ...ofRule,
          }),
        ])
        .superRefine((rule, context) => {
          const fault = currencyFault(rule.kind === 'event' ? rule.field : rule.measure, rule.currency);
          if (fault !== null)
            context.addIssue({ code: 'custom', path: ['currency'], message: fault.message });
        }),
    )
    .max(MAX_ROWS),
});

const Meters = z.strictObject({
  $schema,
  /** Each is what `POST /v1/meters` takes, which says what may stand in it, and whose it is. */
  meters: z
    .array(
      z.strictObject({
        tenant: id,
        slug: text(MAX_SLUG),
        name: text(MAX_NAME).optional(),
        description: text(MAX_DESCRIPTION).nullable().optional(),
        eventType: text(MAX_EVENT_TYPE),
        eventFrom: z.string().nullable().optional(),
        aggregation: z.enum(AGGREGATIONS),
        value: z.string().nullable().optional(),
        dimensions: z.record(z.string(), z.string()).optional(),
        filter: z.array(z.record(z.string(), z.unknown())).optional(),
      }),
    )
    .max(MAX_ROWS),
});

const Feature = z.strictObject({
  name: id,
  weight,
  endpoint: text(MAX_ENDPOINT),
  model: id,
  inputTokens: distribution(MAX_MODEL_TOKENS),
  outputTokens: distribution(MAX_MODEL_TOKENS).nullable(),
  firstTokenMs: distribution(MAX_LATENCY_MS),
  perTokenMs: distribution(MAX_LATENCY_MS),
});
/** A feature of a tenant's product that calls a model. */
export type Feature = z.infer<typeof Feature>;

const Traffic = z.strictObject({
  $schema,
  day: z.strictObject({ swing: chance, peakHour: z.number().min(0).lt(24) }),
  bursts: z.strictObject({ chance, factor: z.number().min(1).max(1_000) }),
  late: z.strictObject({
    chance,
    delayMs: distribution(DAY_MS),
    maxDelayMs: z.int().min(0).max(DAY_MS),
  }),
  requests: z.strictObject({ single: chance, maxEvents: z.int().min(1).max(MAX_EVENTS) }),
  repeats: z.strictObject({ chance, meanwhile: chance }),
  sessions: z.strictObject({ chance, count: z.int().min(1).max(MAX_WEIGHT) }),
  browsing: z.strictObject({ clicks: chance, pages: z.int().min(1).max(MAX_WEIGHT) }),
  maxTokens: z.int().min(1).max(MAX_MODEL_TOKENS),
  features: some(Feature),
  tenants: some(
    z.strictObject({
      tenant: id,
      weight: z.number().positive().max(MAX_WEIGHT),
      features: some(id),
      browsing: chance,
    }),
  ),
});
/** How traffic goes, of all tenants alike. */
export type TrafficProfile = Omit<z.infer<typeof Traffic>, '$schema' | 'features' | 'tenants'>;

/** The files of a folder of seeds, and what each may say. */
export const SEED_FILES = {
  'tenants.json': Tenants,
  'customers.json': Customers,
  'alert-rules.json': AlertRules,
  'meters.json': Meters,
  'traffic.json': Traffic,
};
export type SeedFile = keyof typeof SEED_FILES;
/** What stands in the files, each checked for itself. */
export type SeedTexts = { [File in SeedFile]: z.infer<(typeof SEED_FILES)[File]> };
