import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { UTC } from '../../../ground/zones/zoneOffset.ts';
import type { Meter } from '../../../sums/meters/catalog/meter.ts';
import type { MeterQuery } from '../../../sums/meters/reading/meterQuery.ts';
import { queryMeter } from '../../../sums/meters/reading/queryMeter.ts';
import { followsTimezone, GRANULARITY_MS } from '../../../sums/rollups/granularity.ts';
import type { Services } from '../services.ts';
import { MOST_ROWS } from './wholeList.ts';

const MINUTE_MICROS = 60_000_000;
const DAY_MICROS = 86_400_000_000;
/** Hours, days or months that a query is taken with as it is: they are listed for it one by one, with events or not. */
const MOST_WINDOWS = 50_000;
/** Longer than a window, in any zone. */
const MARGIN_MICROS = 70 * DAY_MICROS;

type Range = Pick<MeterQuery, 'fromMicros' | 'toMicros'>;

/**
 * The range of a query, cut to where its events are if it is far longer than anybody's: clients of others may ask from
 * 1970 on, or until 9999. Its answer stays the same: a window at its edge is whole, and open as long as events of the
 * range may come.
 *
 * @throws as `queryMeter`.
 */
export async function toEvents(
  services: Services,
  context: TenantContext,
  meter: Meter,
  query: MeterQuery,
): Promise<Range> {
  const { granularity, fromMicros } = query;
  if (granularity === null || !followsTimezone(granularity)) return { fromMicros, toMicros: query.toMicros };
  const toMicros = untilNow(query);
  const windows = (toMicros - fromMicros) / (GRANULARITY_MS[granularity] * 1_000);
  if (windows <= MOST_WINDOWS) return { fromMicros, toMicros };
  const found = await extentOf(services, context, meter, query);
  const first = Math.max(fromMicros, found.fromMicros - MARGIN_MICROS);
  return { fromMicros: Math.min(first, toMicros - 1), toMicros };
}

/** The end of a range where it is not further ahead than any window with events: they are accepted a day ahead at most. */
function untilNow({ fromMicros, toMicros }: Range): number {
  return Math.min(toMicros, Math.max(Date.now() * 1_000 + MARGIN_MICROS, fromMicros + MINUTE_MICROS));
}

/** The first and the last minute with events, each looked for by month, then day, then minute. */
export async function extentOf(
  { reads }: Services,
  context: TenantContext,
  meter: Meter,
  query: Pick<MeterQuery, 'fromMicros' | 'toMicros' | 'customers' | 'filters'>,
): Promise<Range> {
  const { fromMicros, customers, filters } = query;
  const toMicros = untilNow(query);
  const counting = { ...meter, definition: { ...meter.definition, aggregation: 'count' as const } };
  const windows = async (granularity: '1mo' | '1d' | '1m', from: number, to: number) => {
    const range = { fromMicros: Math.max(from, fromMicros), toMicros: Math.min(to, toMicros) };
    const asked = { ...range, granularity, offsets: UTC, groupBy: [], customers, filters, limit: MOST_ROWS };
    const page = await reads.inOneMoment(context, (db) => queryMeter(db, context, counting, asked));
    return page.data.map(({ windowStart, windowEnd }) => [
      Date.parse(windowStart) * 1_000,
      Date.parse(windowEnd) * 1_000,
    ]) as [number, number][];
  };
  let first: [number, number] = [fromMicros, toMicros];
  let last = first;
  for (const granularity of ['1mo', '1d', '1m'] as const) {
    const early = await windows(granularity, ...first);
    const late = first === last ? early : await windows(granularity, ...last);
    if (early.length === 0 || late.length === 0) {
      const now = Math.floor((Date.now() * 1_000) / MINUTE_MICROS) * MINUTE_MICROS; // nothing is there
      return { fromMicros: now, toMicros: now };
    }
    first = early[0]!;
    last = early.length === 1 && early === late ? first : late.at(-1)!;
  }
  return { fromMicros: first[0], toMicros: last[1] };
}
