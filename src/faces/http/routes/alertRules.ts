import { createRoute, z } from '@hono/zod-openapi';
import { MAX_EVENT_TYPE } from '../../../intake/events/nativeEvent.ts';
import { isNotZero, parseDecimal } from '../../../model/decimal.ts';
import {
  createAlertRule,
  deleteAlertRule,
  getAlertRule,
  listAlertRules,
  type NewAlertRule,
  updateAlertRule,
} from '../../../outbound/delivery/alertRules.ts';
import {
  ALERT_FIELDS,
  type AlertField,
  currencyFault,
  USAGE_MEASURES,
  USAGE_PERIODS,
  type UsageMeasure,
} from '../../../outbound/delivery/messageTypes.ts';
import { type InOneMoment, ruleStandings } from '../../../outbound/delivery/ruleStandings.ts';
import { CURRENCY } from '../../../sums/costs/catalog/price.ts';
import type { App } from '../appEnv.ts';
import { microsAsked } from '../asOf.ts';
import { administer, tenantOf } from '../context.ts';
import {
  changeOfTenant,
  createOfTenant,
  deleteOfTenant,
  listOfTenant,
  readOfTenant,
  thingOfTenant,
} from '../ofTenant.ts';
import { refusal, refuse } from '../refusal.ts';
import { json, jsonPage, numeric, security, text, thingFailures } from '../schemas.ts';
import type { Services } from '../services.ts';
import { customers } from './subscriptions.ts';

const common = {
  id: z.uuid(),
  tenantId: z.string(),
  name: z.string().nullable(),
  threshold: z.string().openapi({ description: 'Decimal.' }),
  customers: z.array(z.string()).nullable(),
  eventType: z.string().nullable(),
  active: z.boolean(),
  createdAt: z.string(),
  updatedAt: z.string(),
};
const field = z
  .enum(ALERT_FIELDS)
  .openapi({ description: 'What of each event is compared: alert.triggered for each that is above.' });
const measure = z.enum(USAGE_MEASURES).openapi({
  description:
    'What is summed per customer: usage.threshold once in a period, when the sum exceeds the threshold.',
});
const currency = z
  .string()
  .regex(CURRENCY, 'must be a code of ISO 4217: three capital letters, as in USD')
  .optional()
  .openapi({
    description:
      'Of a cost, and needed there: each event by the price in force at its time. See docs/costs.md.',
    example: 'USD',
  });
const period = z.enum(USAGE_PERIODS).openapi({ description: 'Of UTC.' });

const meter = text(64)
  .optional()
  .openapi({
    description:
      'The slug of a meter, in place of a field or a measure. Of each event: one of sum, avg, min, max or latest; per customer ' +
      'and period: one of count, sum or max. See docs/meters.md.',
  });

const AlertRule = z
  .union([
    z.object({ kind: z.literal('event'), field: field.optional(), currency, meter, ...common }),
    z.object({ kind: z.literal('usage'), measure: measure.optional(), currency, meter, period, ...common }),
  ])
  .openapi('AlertRule');

/** Both as they are sent: the handlers make plain decimals of them. */
const threshold = numeric(100, 'give a threshold: a number or a decimal string')
  .refine(
    (value) => parseDecimal(value) !== null,
    refusal('value_invalid', 'must be a decimal of at most 38 digits, 18 of them after the point'),
  )
  .refine(
    (value) => parseDecimal(value) !== '0' || !isNotZero(value),
    refusal('value_invalid', 'is less than 18 digits after the point can tell'),
  )
  .openapi({ description: 'Number or decimal string; what equals it is not above.' });
const COMPARED = 'give a field or a measure, as the kind has it, or a meter: one of the two';
const name = text(256).nullable().optional();
const eventType = text(MAX_EVENT_TYPE)
  .nullable()
  .optional()
  .openapi({ description: 'Only events of this type; null or left out: of all.' });

function fieldOrMeasureOf(
  body:
    | { kind: 'event'; field?: AlertField | undefined }
    | { kind: 'usage'; measure?: UsageMeasure | undefined },
) {
  return body.kind === 'event' ? body.field : body.measure;
}

const postAlertRule = createRoute({
  path: '/v1/alert-rules',
  operationId: 'createAlertRule',
  tags: ['Messages'],
  summary: 'Make an alert rule',
  description:
    'Messages are written while somebody subscribes to them: alert.triggered for rules of the kind event, ' +
    'usage.threshold for those of the kind usage. A customer that is above already is told of with its next event.',
  ...createOfTenant(
    z
      .discriminatedUnion('kind', [
        z.strictObject({
          kind: z.literal('event'),
          field: field.optional(),
          currency,
          meter,
          threshold,
          name,
          customers,
          eventType,
        }),
        z.strictObject({
          kind: z.literal('usage'),
          measure: measure.optional(),
          currency,
          meter,
          period,
          threshold,
          name,
          customers,
          eventType,
        }),
      ])
      .refine(
        (body) => body.meter !== undefined || fieldOrMeasureOf(body) !== undefined,
        refusal('required', COMPARED),
      )
      .refine(
        (body) => body.meter === undefined || fieldOrMeasureOf(body) === undefined,
        refusal('not_allowed', COMPARED),
      )
      .refine(({ meter, eventType }) => meter === undefined || eventType == null, {
        path: ['eventType'],
        ...refusal('not_allowed', 'a meter has a type of its own'),
      })
      .superRefine((body, context) => {
        const fault = currencyFault(fieldOrMeasureOf(body), body.currency);
        if (fault !== null) refuse(context, ['currency'], fault);
      })
      .openapi({
        example: {
          name: 'quota',
          kind: 'usage',
          measure: 'tokens',
          period: 'month',
          threshold: 1_000_000,
        },
      }),
    json(AlertRule, 'The rule'),
  ),
});

const getAlertRules = createRoute({
  path: '/v1/alert-rules',
  operationId: 'listAlertRules',
  tags: ['Messages'],
  summary: 'Alert rules, oldest first',
  ...listOfTenant(jsonPage(AlertRule, 'AlertRulePage', 'Rules')),
});

const getOne = createRoute({
  path: '/v1/alert-rules/{id}',
  operationId: 'getAlertRule',
  tags: ['Messages'],
  summary: 'One alert rule',
  ...readOfTenant(json(AlertRule, 'The rule')),
});

const patchAlertRule = createRoute({
  path: '/v1/alert-rules/{id}',
  operationId: 'updateAlertRule',
  tags: ['Messages'],
  summary: 'Change an alert rule',
  description:
    'What is left out stays. Another threshold is another crossing. What is compared cannot be changed: make another rule.',
  ...changeOfTenant(
    z
      .strictObject({
        name,
        threshold: threshold.optional(),
        customers,
        active: z.boolean().optional(),
      })
      .openapi({ example: { threshold: '2500000' } }),
    json(AlertRule, 'The rule'),
  ),
});

const Standings = z
  .object({
    rule: AlertRule,
    periodStart: z.string(),
    periodEnd: z.string(),
    customers: z
      .int()
      .openapi({ description: 'Those that the rule is about and that have anything in the period.' }),
    above: z.int().openapi({ description: 'Of them those above the threshold.' }),
    data: z.array(
      z.object({
        customerId: z.string(),
        name: z.string().nullable(),
        value: z.string().openapi({ description: 'What is compared with the threshold. Exact decimal.' }),
        told: z.boolean().openapi({
          description: 'Whether usage.threshold was written, in this period and of this threshold.',
        }),
      }),
    ),
  })
  .openapi('RuleStandings');

const getStandings = createRoute({
  method: 'get',
  path: '/v1/alert-rules/{id}/customers',
  operationId: 'listRuleCustomers',
  tags: ['Messages'],
  summary: 'Where customers stand with an alert rule',
  description:
    'Of a rule of the kind usage: what each customer has in a period of it, the greatest first. Counted from what there is, ' +
    'whether anybody subscribes or not. A rule of the kind event compares each event by itself: 400.',
  security,
  request: {
    ...thingOfTenant,
    query: z.strictObject({
      at: z
        .string()
        .max(64)
        .optional()
        .openapi({ format: 'date-time', description: 'A moment of the period. Default: now.' }),
      customerId: text(256).optional(),
      limit: z.coerce.number().int().min(1).max(1_000).default(100),
    }),
  },
  responses: { 200: json(Standings, 'Where they stand'), ...thingFailures },
});

const removeAlertRule = createRoute({
  path: '/v1/alert-rules/{id}',
  operationId: 'deleteAlertRule',
  tags: ['Messages'],
  summary: 'Delete an alert rule',
  ...deleteOfTenant,
});

export function alertRuleRoutes(app: App, services: Services): void {
  const { admin } = services;

  app.openapi(postAlertRule, async (c) => {
    const { context, actor } = await administer(c, services);
    const body = c.req.valid('json');
    const rule = { ...body, threshold: parseDecimal(body.threshold)! } as NewAlertRule; // refined to have one of the two
    return c.json(await createAlertRule(admin, context, rule, actor), 201);
  });

  app.openapi(getAlertRules, async (c) => {
    const context = await tenantOf(c, services, 'admin');
    return c.json(await listAlertRules(admin, context, c.req.valid('query')), 200);
  });

  app.openapi(getOne, async (c) => {
    const context = await tenantOf(c, services, 'admin');
    return c.json(await getAlertRule(admin, context, c.req.valid('param').id), 200);
  });

  app.openapi(getStandings, async (c) => {
    const context = await tenantOf(c, services, 'admin');
    const { at, ...query } = c.req.valid('query');
    const moment = microsAsked('at', at) ?? Date.now() * 1_000;
    const inOneMoment: InOneMoment = (work) => services.reads.inOneMoment(context, work);
    const { id } = c.req.valid('param');
    const asked = { ...query, at: moment };
    return c.json(await ruleStandings(admin, inOneMoment, context, id, asked, services.priceBooks), 200);
  });

  app.openapi(patchAlertRule, async (c) => {
    const { context, actor } = await administer(c, services);
    const { threshold: sent, ...rest } = c.req.valid('json');
    const changes = { ...rest, threshold: sent === undefined ? undefined : parseDecimal(sent)! };
    return c.json(await updateAlertRule(admin, context, c.req.valid('param').id, changes, actor), 200);
  });

  app.openapi(removeAlertRule, async (c) => {
    const { context, actor } = await administer(c, services);
    await deleteAlertRule(admin, context, c.req.valid('param').id, actor);
    return c.body(null, 204);
  });
}
