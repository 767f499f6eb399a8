import type { Context } from 'hono';
import type { TenantContext } from '../../../../access/tenancy/tenantContext.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import { jsonNumber } from '../../../../model/json.ts';
import { formatTimestamp } from '../../../../model/timestamp.ts';
import { csvLine } from '../../../../outbound/exporting/csvLine.ts';
import { findLiveMeter, type Meter } from '../../../../sums/meters/catalog/meter.ts';
import { dimensionValues } from '../../../../sums/meters/reading/dimensionValues.ts';
import { CUSTOMER, type MeterPoint, type MeterQuery } from '../../../../sums/meters/reading/meterQuery.ts';
import { queryMeter } from '../../../../sums/meters/reading/queryMeter.ts';
import { followsTimezone } from '../../../../sums/rollups/granularity.ts';
import type { App, AppEnv } from '../../appEnv.ts';
import { tenantOf } from '../../context.ts';
import { answerCsv, wantsCsv } from '../../csv.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { extentOf, toEvents } from '../extent.ts';
import { smallObject } from '../smallBody.ts';
import { MOST_ROWS, requireWhole } from '../wholeList.ts';
import { requireCustomers } from './customers.ts';
import { type OpenMeterQuery, readQuery, readUrlQuery } from './queryParameters.ts';

const DAY_MS = 86_400_000;

/** One row as the client reads it, and beside it what is exact, how final it is, and what was left out. */
interface Row {
  value: unknown;
  valueDecimal: string;
  windowStart: string;
  windowEnd: string;
  subject: string | null;
  customerId?: string;
  groupBy: Record<string, string | null>;
  events: string;
  ignored: string;
  state: MeterPoint['state'];
  revision: number;
}

/**
 * Answers with the numbers of a live meter as the client reads them, as JSON or CSV.
 *
 * @param read what is asked for, by the names of the meter's dimensions.
 */
export async function answerOpenMeterQuery(
  c: Context<AppEnv>,
  services: Services,
  context: TenantContext,
  meter: Meter,
  read: (dimensions: string[]) => OpenMeterQuery | Promise<OpenMeterQuery>,
) {
  const query = await read(Object.keys(meter.definition.dimensions));
  const { rows, nextCursor } = await ask(services, context, meter, query);
  if (wantsCsv(c)) {
    const name = { 'Content-Disposition': `attachment; filename="${meter.slug}.csv"` };
    return answerCsv(c, csvOf(rows, query), nextCursor, name);
  }
  return jsonAnswer(c, {
    ...(query.fromMicros !== null && { from: formatTimestamp(query.fromMicros) }),
    ...(query.toMicros !== null && { to: formatTimestamp(query.toMicros) }),
    ...(query.windowSize !== null && { windowSize: query.windowSize }),
    data: rows,
    ...(nextCursor !== null && { nextCursor }),
  });
}

export function queryRoutes(app: App, services: Services): void {
  const answer = async (
    c: Context<AppEnv>,
    read: (dimensions: string[]) => OpenMeterQuery | Promise<OpenMeterQuery>,
  ) => {
    const context = await tenantOf(c, services, 'read');
    const meter = await findLiveMeter(services.reads.as(context), context.tenantId, c.req.param('meter')!);
    return answerOpenMeterQuery(c, services, context, meter, read);
  };
  app.get('/api/v1/meters/:meter/query', (c) =>
    answer(c, (dimensions) => readUrlQuery(new URL(c.req.url).searchParams, dimensions)),
  );
  app.post('/api/v1/meters/:meter/query', (c) =>
    answer(c, async (dimensions) => readQuery(await smallObject(c), dimensions)),
  );

  app.get('/api/v1/meters/:meter/subjects', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const meter = await findLiveMeter(services.reads.as(context), context.tenantId, c.req.param('meter'));
    const query = readUrlQuery(new URL(c.req.url).searchParams, []);
    return jsonAnswer(
      c,
      await valuesOf(services, context, meter, CUSTOMER, wholeRange(services, meter, query)),
    );
  });

  app.get('/api/v1/meters/:meter/group-by/:key/values', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const meter = await findLiveMeter(services.reads.as(context), context.tenantId, c.req.param('meter'));
    const name = c.req.param('key');
    if (!Object.hasOwn(meter.definition.dimensions, name)) {
      throw new TidemarkError('invalid_request', `invalid group by: ${name}`);
    }
    const query = readUrlQuery(new URL(c.req.url).searchParams, []);
    const toMicros = query.toMicros ?? aheadMicros(services);
    const fromMicros = query.fromMicros ?? Math.min(toMicros, Date.now() * 1_000) - DAY_MS * 1_000;
    return jsonAnswer(c, await valuesOf(services, context, meter, name, { fromMicros, toMicros }));
  });
}

async function valuesOf(
  services: Services,
  context: TenantContext,
  meter: Meter,
  name: string,
  range: { fromMicros: number; toMicros: number },
): Promise<string[]> {
  const page = await services.reads.inOneMoment(context, (db) =>
    dimensionValues(db, context, meter, name, { ...range, customers: null, limit: MOST_ROWS }),
  );
  return requireWhole(page).flatMap(({ value }) => (value === null ? [] : [value]));
}

async function ask(
  services: Services,
  context: TenantContext,
  meter: Meter,
  query: OpenMeterQuery,
): Promise<{ rows: Row[]; nextCursor: string | null }> {
  await requireCustomers(services, context, query.namedCustomers);
  const range = wholeRange(services, meter, query);
  const { granularity, customers, filters, bySubject, byCustomer, groupBy } = query;
  const asked: MeterQuery = {
    ...range,
    granularity,
    offsets: [],
    groupBy: [...(bySubject || byCustomer ? [CUSTOMER] : []), ...groupBy],
    customers,
    filters,
    cursor: query.cursor,
    limit: query.limit ?? MOST_ROWS,
  };
  Object.assign(asked, await toEvents(services, context, meter, asked));
  // Of a range whose windows are the same everywhere, no more than that there is such a zone.
  const inZone = granularity !== null && followsTimezone(granularity);
  asked.offsets = await services.zones.offsets(
    query.timeZone,
    inZone ? Math.floor(asked.fromMicros / 1_000) : Date.now(),
    inZone ? Math.ceil(asked.toMicros / 1_000) : Date.now(),
  );
  const page = await services.reads.inOneMoment(context, (db) => queryMeter(db, context, meter, asked));
  const points = query.limit === null ? requireWhole(page) : page.data;
  const rows = points.flatMap((point) => toRow(point, query));
  const isTotal = granularity === null && asked.groupBy.length === 0;
  const { aggregation } = meter.definition;
  if (isTotal && rows.length === 0 && (aggregation === 'count' || aggregation === 'uniqueCount')) {
    rows.push(nothing(range));
  }
  if (granularity === null && rows.length > 0) await bound(services, context, meter, asked, query, rows);
  return { rows, nextCursor: query.limit === null ? null : page.nextCursor };
}

/** What is asked for, with bounds: as far back as the meter can tell, and as far ahead as events are accepted. */
function wholeRange(
  services: Services,
  { fill, definition }: Meter,
  { fromMicros, toMicros }: Pick<OpenMeterQuery, 'fromMicros' | 'toMicros'>,
): { fromMicros: number; toMicros: number } {
  const kept = fill.eventsKeptFrom === null ? 0 : Date.parse(fill.eventsKeptFrom) * 1_000;
  const filled = fill.from === null ? kept : Date.parse(fill.from) * 1_000;
  const earliest = Math.max(Math.min(kept, filled), definition.eventFromMicros ?? 0, 0);
  const to = toMicros ?? Math.max(aheadMicros(services), (fromMicros ?? 0) + 1);
  return { fromMicros: fromMicros ?? Math.min(earliest, to - 1), toMicros: to };
}

function aheadMicros({ config }: Services): number {
  return (Date.now() + config.ingest.acceptAheadMs + 1) * 1_000;
}

/** Rows without a value are left out, as there. */
function toRow(point: MeterPoint, { bySubject, byCustomer, groupBy }: OpenMeterQuery): Row[] {
  if (point.value === null) return [];
  const {
    value,
    windowStart,
    windowEnd,
    customerId,
    dimensions = {},
    events,
    ignored,
    state,
    revision,
  } = point;
  return [
    {
      value: jsonNumber(value),
      valueDecimal: value,
      windowStart,
      windowEnd,
      subject: bySubject ? customerId! : null,
      ...(byCustomer && { customerId: customerId! }),
      groupBy: Object.fromEntries(groupBy.map((name) => [name, dimensions[name] ?? null])),
      events,
      ignored,
      state,
      revision,
    },
  ];
}

/** The row of a count over a range in which nothing happened. */
function nothing({ fromMicros, toMicros }: { fromMicros: number; toMicros: number }): Row {
  return {
    value: 0,
    valueDecimal: '0',
    windowStart: formatTimestamp(fromMicros),
    windowEnd: formatTimestamp(toMicros),
    subject: null,
    groupBy: {},
    events: '0',
    ignored: '0',
    state: toMicros > Date.now() * 1_000 ? 'open' : 'closed',
    revision: 0,
  };
}

/** Where no range was asked for, a total is that of the minutes from the first event to the last. */
async function bound(
  services: Services,
  context: TenantContext,
  meter: Meter,
  asked: MeterQuery,
  { fromMicros, toMicros }: OpenMeterQuery,
  rows: Row[],
): Promise<void> {
  if (fromMicros !== null && toMicros !== null) return;
  const found = await extentOf(services, context, meter, asked);
  for (const row of rows) {
    if (fromMicros === null) row.windowStart = formatTimestamp(found.fromMicros);
    if (toMicros === null) row.windowEnd = formatTimestamp(found.toMicros);
  }
}

function csvOf(rows: Row[], { bySubject, byCustomer, groupBy }: OpenMeterQuery): string {
  const whose = [...(bySubject ? ['subject'] : []), ...(byCustomer ? ['customer_id'] : [])];
  const head = ['window_start', 'window_end', ...whose, ...groupBy, 'value'];
  const lines = rows.map((row) =>
    csvLine([
      row.windowStart,
      row.windowEnd,
      ...(bySubject ? [row.subject] : []),
      ...(byCustomer ? [row.customerId] : []),
      ...groupBy.map((name) => row.groupBy[name]),
      row.valueDecimal,
    ]),
  );
  return csvLine(head) + lines.join('');
}
