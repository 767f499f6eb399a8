import { TidemarkError } from '../../../../model/errors.ts';
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
import { smallText } from '../smallBody.ts';
import { wholeList } from '../wholeList.ts';
import { pageOfList } from './pages.ts';
import { type Form, readForm } from './readForm.ts';

const FORMULA: Record<string, Aggregation> = { sum: 'sum', count: 'count', last: 'latest' };
const THEIRS = new Map(Object.entries(FORMULA).map(([theirs, ours]) => [ours, theirs]));

/** Whom an event is about, by a member of its payload. */
const CUSTOMER_KEY = 'stripe_customer_id';

export function meterRoutes(app: App, services: Services): void {
  app.post('/v1/billing/meters', async (c) => {
    const { context, actor } = await administer(c, services);
    const wanted = requireNewMeter(toMeter(readForm(await smallText(c))));
    const { perTenant } = services.config.meters;
    return jsonAnswer(c, fromMeter(await createMeter(services.admin, context, wanted, perTenant, actor)));
  });

  app.get('/v1/billing/meters', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const status = c.req.query('status');
    const meters = await wholeList((part) =>
      listMeters(services.admin, context, { ...part, archived: status !== 'active' }),
    );
    const shown = meters
      .filter(isStripeMeter)
      .filter(({ archivedAt }) => status === undefined || (archivedAt === null) === (status === 'active'))
      .reverse() // the newest first, as all lists there
      .map(fromMeter);
    return jsonAnswer(c, { object: 'list', url: '/v1/billing/meters', ...pageOfList(c, shown) });
  });

  app.get('/v1/billing/meters/:id', async (c) => {
    const context = await tenantOf(c, services, 'read');
    return jsonAnswer(
      c,
      fromMeter(requireStripeMeter(await getMeter(services.admin, context, c.req.param('id')))),
    );
  });
}

/** @throws {TidemarkError} `not_found` where it is none that Stripe could have made. */
export function requireStripeMeter(meter: Meter): Meter {
  if (isStripeMeter(meter)) return meter;
  throw new TidemarkError('not_found', 'there is no such meter');
}

/** The form of a meter as the meter that is to be made. @throws {TidemarkError} `invalid_request`. */
function toMeter(form: Form): Record<string, unknown> {
  const { display_name, event_name, default_aggregation, customer_mapping, value_settings, ...others } = form;
  if (typeof event_name !== 'string' || event_name === '') throw wrong('event_name', 'is required');
  const formula = memberOf(default_aggregation, 'formula');
  const aggregation = formula !== undefined && Object.hasOwn(FORMULA, formula) ? FORMULA[formula] : undefined;
  if (aggregation === undefined) throw wrong('default_aggregation/formula', 'must be sum, count or last');
  if ((memberOf(customer_mapping, 'event_payload_key') ?? CUSTOMER_KEY) !== CUSTOMER_KEY) {
    throw wrong(
      'customer_mapping/event_payload_key',
      `can be ${CUSTOMER_KEY} only: it names the customer of an event`,
    );
  }
  if (others.event_time_window !== undefined) {
    throw wrong('event_time_window', 'is not taken: events are not summed up before they are sent');
  }
  const value = memberOf(value_settings, 'event_payload_key') ?? 'value';
  return {
    slug: slugOf(event_name),
    name: display_name,
    eventType: event_name,
    aggregation,
    value: aggregation === 'count' ? null : memberPath(value),
  };
}

function memberOf(group: string | Form | undefined, name: string): string | undefined {
  const value = typeof group === 'object' ? group[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}

function wrong(param: string, message: string): TidemarkError {
  const name = param.replace(/\/(\w+)/, '[$1]');
  return new TidemarkError('invalid_request', `${name} ${message}`, {
    errors: [{ index: 0, pointer: `/${param}`, code: 'parameter_invalid', message }],
  });
}

function isStripeMeter({ definition }: Meter): boolean {
  const { aggregation, value, filter } = definition;
  return (
    THEIRS.has(aggregation) && filter.length === 0 && (value === null || memberName(value) !== undefined)
  );
}

function fromMeter({ id, name, definition, createdAt, updatedAt, archivedAt }: Meter) {
  const { eventType, aggregation, value } = definition;
  const seconds = (moment: string) => Math.floor(Date.parse(moment) / 1_000);
  return {
    id,
    object: 'billing.meter',
    created: seconds(createdAt),
    customer_mapping: { event_payload_key: CUSTOMER_KEY, type: 'by_id' },
    default_aggregation: { formula: THEIRS.get(aggregation) },
    display_name: name,
    event_name: eventType,
    event_time_window: null,
    livemode: true,
    status: archivedAt === null ? 'active' : 'inactive',
    status_transitions: { deactivated_at: archivedAt === null ? null : seconds(archivedAt) },
    updated: seconds(updatedAt),
    value_settings: { event_payload_key: value === null ? 'value' : memberName(value) },
  };
}
