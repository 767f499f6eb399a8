import { UTC } from '../../../../ground/zones/zoneOffset.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import { jsonNumber } from '../../../../model/json.ts';
import { findLiveMeter, type Meter } from '../../../../sums/meters/catalog/meter.ts';
import type { MeterQuery } from '../../../../sums/meters/reading/meterQuery.ts';
import { queryMeter } from '../../../../sums/meters/reading/queryMeter.ts';
import type { App } from '../../appEnv.ts';
import { tenantOf } from '../../context.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { toEvents } from '../extent.ts';
import { requireStorable } from '../requireStorable.ts';
import { MOST_ROWS, requireWhole } from '../wholeList.ts';
import { requireStripeMeter } from './meters.ts';
import { pageOfList } from './pages.ts';

const MINUTE = 60;
/** By `value_grouping_window`, and where it is left out, what the range must begin and end with, in seconds. */
const WINDOW = {
  hour: { granularity: '1h', seconds: 3_600 },
  day: { granularity: '1d', seconds: 86_400 },
} as const;

/** What a meter says of one customer: of the whole range in one row, or by hour or UTC day, the newest first. */
export function summaryRoutes(app: App, services: Services): void {
  app.get('/v1/billing/meters/:id/event_summaries', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const id = c.req.param('id');
    const meter = requireStripeMeter(await findLiveMeter(services.reads.as(context), context.tenantId, id));
    const { customer, start_time, end_time, value_grouping_window: grouping } = c.req.query();
    if (!customer) throw new TidemarkError('invalid_request', 'customer is required');
    requireStorable('customer', customer);
    if (grouping !== undefined && !Object.hasOwn(WINDOW, grouping)) {
      throw new TidemarkError('invalid_request', 'value_grouping_window must be hour or day');
    }
    const window = grouping === undefined ? null : WINDOW[grouping as keyof typeof WINDOW];
    const start = momentOf('start_time', start_time, window?.seconds ?? MINUTE);
    const end = momentOf('end_time', end_time, window?.seconds ?? MINUTE);
    if (start >= end) throw new TidemarkError('range_invalid', 'start_time must be before end_time');
    const query: MeterQuery = {
      fromMicros: start * 1_000_000,
      toMicros: end * 1_000_000,
      granularity: window?.granularity ?? null,
      offsets: UTC,
      groupBy: [],
      customers: [customer],
      filters: {},
      limit: MOST_ROWS,
    };
    Object.assign(query, await toEvents(services, context, meter, query));
    const page = await services.reads.inOneMoment(context, (db) => queryMeter(db, context, meter, query));
    const rows = requireWhole(page).map(({ windowStart, windowEnd, value }) =>
      summary(meter, customer, Date.parse(windowStart) / 1_000, Date.parse(windowEnd) / 1_000, value ?? '0'),
    );
    if (window === null && rows.length === 0) rows.push(summary(meter, customer, start, end, '0'));
    const url = `/v1/billing/meters/${meter.id}/event_summaries`;
    return jsonAnswer(c, { object: 'list', url, ...pageOfList(c, rows.reverse()) });
  });
}

function summary(meter: Meter, customer: string, start: number, end: number, value: string) {
  return {
    id: `mtrsum_${Buffer.from(JSON.stringify([meter.id, customer, start, end])).toString('base64url')}`,
    object: 'billing.meter_event_summary',
    aggregated_value: jsonNumber(value),
    aggregated_value_decimal: value,
    start_time: start,
    end_time: end,
    livemode: true,
    meter: meter.id,
  };
}

/** Seconds since the epoch, as many as are a multiple. */
function momentOf(name: string, sent: string | undefined, multiple: number): number {
  const seconds = sent !== undefined && /^\d{1,11}$/.test(sent) ? Number(sent) : Number.NaN;
  if (Number.isNaN(seconds)) {
    throw new TidemarkError('range_invalid', `${name} is required, in seconds since 1970`);
  }
  if (seconds % multiple === 0) return seconds;
  throw new TidemarkError('range_invalid', `${name} must be a multiple of ${multiple} seconds`);
}
