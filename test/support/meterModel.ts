import { randomUUID } from 'node:crypto';

/*
 * Meters as they must be, worked out event by event from what was acknowledged: slow, and nothing of what it is to check.
 */

type Json = unknown;
export type Document = Record<string, Json>;

/** An event as a client posts it, to the microsecond. */
export interface MeterEvent {
  eventId: string;
  timestamp: string;
  customerId: string;
  eventType: string;
  apiEndpoint?: string;
  reference?: string;
  value?: string;
  metadata: Document;
}

/** A meter as it is sent, and what it means. */
export interface ModelMeter {
  body: { slug: string; eventType: string; aggregation: string; [member: string]: unknown };
  value?: (document: Document) => Json;
  dimensions: Record<string, (document: Document) => Json>;
  holds: (document: Document) => boolean;
  fromMicros?: number;
}

export interface ModelQuery {
  fromMicros: number;
  toMicros: number;
  /** Length of a window in ms, and by how much its clock is ahead of UTC; null: one for the range; `month`: of UTC. */
  window: { ms: number; aheadMs: number } | 'month' | null;
  groupBy: string[];
  customers: string[] | null;
  filters: Record<string, (string | null)[]>;
}

export interface ModelPoint {
  windowStart: string;
  windowEnd: string;
  customerId?: string;
  dimensions?: Record<string, string | null>;
  value: string | null;
  events: number;
  ignored: number;
}

const SCALE = 10n ** 18n;
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/;

export class MeterModel {
  readonly events = new Map<string, MeterEvent>();

  add(events: MeterEvent[]): void {
    for (const event of events) if (!this.events.has(event.eventId)) this.events.set(event.eventId, event);
  }

  /** Has just these count. */
  replace(events: Iterable<MeterEvent>): void {
    this.events.clear();
    for (const event of events) this.events.set(event.eventId, event);
  }

  query(meter: ModelMeter, query: ModelQuery): ModelPoint[] {
    const groups = new Map<string, { at: number; group: string[]; events: MeterEvent[] }>();
    for (const event of this.events.values()) {
      if (!counts(meter, event, query)) continue;
      const at = startOf(query, microsOf(event.timestamp));
      const group = query.groupBy.map((name) =>
        name === 'customer' ? `=${event.customerId}` : keyOf(dimensionOf(meter, name, event)),
      );
      const key = JSON.stringify([at, group]);
      const found = groups.get(key) ?? { at, group, events: [] };
      found.events.push(event);
      groups.set(key, found);
    }
    return [...groups.values()]
      .sort((a, b) => a.at - b.at || compareAll(a.group, b.group))
      .map(({ at, group, events }) => {
        const names = query.groupBy.filter((name) => name !== 'customer');
        const valueAt = (name: string) => {
          const key = group[query.groupBy.indexOf(name)]!;
          return key === '' ? null : key.slice(1);
        };
        return {
          windowStart: iso(at),
          windowEnd: iso(endOf(query, at)),
          ...(query.groupBy.includes('customer') && { customerId: valueAt('customer')! }),
          ...(names.length > 0 && {
            dimensions: Object.fromEntries(names.map((name) => [name, valueAt(name)])),
          }),
          ...aggregate(meter, events),
        };
      });
  }

  values(meter: ModelMeter, name: string, range: { fromMicros: number; toMicros: number }) {
    const query = { ...range, window: null, groupBy: [name], customers: null, filters: {} };
    return this.query(meter, query).map(({ customerId, dimensions, events }) => ({
      value: name === 'customer' ? customerId! : dimensions![name]!,
      events,
    }));
  }
}

function counts(meter: ModelMeter, event: MeterEvent, query: ModelQuery): boolean {
  const micros = microsOf(event.timestamp);
  return (
    event.eventType === meter.body.eventType &&
    micros >= query.fromMicros &&
    micros < query.toMicros &&
    micros >= (meter.fromMicros ?? 0) &&
    meter.holds(documentOf(event)) &&
    (query.customers === null || query.customers.includes(event.customerId)) &&
    Object.entries(query.filters).every(([name, values]) => values.includes(dimensionOf(meter, name, event)))
  );
}

function aggregate(
  meter: ModelMeter,
  events: MeterEvent[],
): Pick<ModelPoint, 'value' | 'events' | 'ignored'> {
  const { aggregation } = meter.body;
  if (aggregation === 'count') return { value: String(events.length), events: events.length, ignored: 0 };
  if (aggregation === 'uniqueCount') {
    const members = events.map((event) => textOf(meter.value!(documentOf(event)))).filter((m) => m !== null);
    const value = String(new Set(members).size);
    return { value, events: events.length, ignored: events.length - members.length };
  }
  const counted = events
    .map((event) => ({ event, units: unitsOf(meter.value!(documentOf(event))) }))
    .filter(({ units }) => units !== null) as { event: MeterEvent; units: bigint }[];
  const sums = { events: events.length, ignored: events.length - counted.length };
  if (counted.length === 0) return { value: null, ...sums };
  const units = counted.map((each) => each.units);
  const sum = units.reduce((a, b) => a + b, 0n);
  const value: Record<string, () => bigint> = {
    sum: () => sum,
    avg: () => divide(sum, BigInt(units.length)),
    min: () => units.reduce((a, b) => (a < b ? a : b)),
    max: () => units.reduce((a, b) => (a > b ? a : b)),
    latest: () => counted.reduce((a, b) => (isLater(b.event, a.event) ? b : a)).units,
  };
  return { value: decimal(value[aggregation]!()), ...sums };
}

function isLater(a: MeterEvent, b: MeterEvent): boolean {
  const [x, y] = [microsOf(a.timestamp), microsOf(b.timestamp)];
  return x === y ? a.eventId > b.eventId : x > y;
}

/** Half away from zero. */
function divide(sum: bigint, by: bigint): bigint {
  const sign = sum < 0n ? -1n : 1n;
  const size = sum * sign;
  const whole = size / by;
  return sign * (2n * (size - whole * by) >= by ? whole + 1n : whole);
}

function documentOf({ metadata, apiEndpoint, reference, value }: MeterEvent): Document {
  return {
    ...metadata,
    ...(apiEndpoint !== undefined && { apiEndpoint }),
    ...(reference !== undefined && { reference }),
    ...(value !== undefined && { value }),
  };
}

function dimensionOf(meter: ModelMeter, name: string, event: MeterEvent): string | null {
  const text = textOf(meter.dimensions[name]!(documentOf(event)));
  return text !== null && [...text].length > 512 ? null : text;
}

function textOf(value: Json): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  return typeof value === 'number' ? decimal(unitsOfText(String(value))!) : null;
}

/** In 10⁻¹⁸; null where it is no value. */
export function unitsOf(value: Json): bigint | null {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string' || text.length > 100 || !DECIMAL.test(text)) return null;
  const units = unitsOfText(text);
  return units === null || units >= SCALE * 10n ** 20n || units <= -SCALE * 10n ** 20n ? null : units;
}

/** Null where digits are left over. */
function unitsOfText(text: string): bigint | null {
  const [mantissa, exponent = '0'] = text.toLowerCase().split('e');
  const [whole, fraction = ''] = mantissa!.replace(/^[+-]/, '').split('.');
  const power = 18 + Number(exponent) - fraction.length;
  const digits = BigInt(whole! + fraction || '0');
  if (power < 0 && digits % 10n ** BigInt(-power) !== 0n) return null;
  const size = power < 0 ? digits / 10n ** BigInt(-power) : digits * 10n ** BigInt(power);
  return text.startsWith('-') ? -size : size;
}

function decimal(units: bigint): string {
  const size = units < 0n ? -units : units;
  const fraction = (size % SCALE).toString().padStart(18, '0').replace(/0+$/, '');
  return `${units < 0n ? '-' : ''}${size / SCALE}${fraction && `.${fraction}`}`;
}

function startOf({ window, fromMicros }: ModelQuery, micros: number): number {
  if (window === null) return fromMicros;
  const ms = Math.floor(micros / 1_000);
  if (window !== 'month') {
    return (Math.floor((ms + window.aheadMs) / window.ms) * window.ms - window.aheadMs) * 1_000;
  }
  const date = new Date(ms);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) * 1_000;
}

function endOf({ window, toMicros }: ModelQuery, at: number): number {
  if (window === null) return toMicros;
  if (window !== 'month') return at + window.ms * 1_000;
  const date = new Date(at / 1_000);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) * 1_000;
}

function keyOf(value: string | null): string {
  return value === null ? '' : `=${value}`;
}

function compareAll(a: string[], b: string[]): number {
  for (const [i, key] of a.entries()) {
    const order = Buffer.compare(Buffer.from(key), Buffer.from(b[i]!));
    if (order !== 0) return order;
  }
  return 0;
}

/** Of a time in UTC with six digits after the second's point. */
export function microsOf(timestamp: string): number {
  return Date.parse(`${timestamp.slice(0, 23)}Z`) * 1_000 + Number(timestamp.slice(23, 26));
}

/** With microseconds only where there are any, as the service writes it. */
export function iso(micros: number): string {
  const text = new Date(Math.floor(micros / 1_000)).toISOString();
  const rest = micros % 1_000;
  return rest === 0 ? text : text.replace('Z', `${String(rest).padStart(3, '0')}Z`);
}

const VALUES: Json[] = [
  ...[0, 1, 2, 3, 2.5, -7, 1e-7, 123_456_789_012, 0.1],
  ...['0.1', '1e3', '+4', '007', '.5', '5.', '-0.000000000000000001', '12345678901234567890.5', '-0'],
  ...['', 'abc', ' 1', '0x10', 'NaN', null, undefined, true, false, {}, [], [1]],
  ...['1e30', '100000000000000000000', '0.0000000000000000001', '1e-19'],
];
const TEXTS: Json[] = [
  'eu',
  'us',
  'ap',
  '',
  'Zoë',
  '客户',
  5,
  5.5,
  true,
  null,
  undefined,
  {},
  'x'.repeat(600),
];
export const CUSTOMERS = ['alice', 'bob', 'carol', 'Zoë', '客户'];

/** What meters read of an event, with any value that it may or may not have: its members `v`, `where` and `ok`. */
export function randomDocument(random: () => number): Document {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  return {
    v: random() < 0.7 ? pick(VALUES.slice(0, 9)) : pick(VALUES),
    where: random() < 0.9 ? { region: pick(TEXTS), zones: [pick(['a', 'b']), 'z'] } : pick([null, 'none', 7]),
    ok: pick([true, false, null, undefined, 'true']),
  };
}

/** An event anywhere in [from, to) ms, with any value that an event may or may not have. */
export function randomMeterEvent(random: () => number, from: number, to: number): MeterEvent {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const metadata = { ...randomDocument(random), latencyMs: pick([undefined, 10, 20.5]) };
  let micros = Math.floor((from + random() * (to - from)) * 1_000);
  // Now and then on the edge of a window, or beside it, or at the time of others.
  const edge = Math.floor(micros / 30_000_000) * 30_000_000;
  if (random() < 0.2) micros = pick([edge, edge - 1, edge + 15_000_000]);
  micros = Math.min(Math.max(micros, from * 1_000), to * 1_000 - 1);
  const text = new Date(Math.floor(micros / 1_000)).toISOString().slice(0, 23);
  const event = {
    eventId: randomUUID(),
    timestamp: `${text}${String(micros % 1_000).padStart(3, '0')}Z`,
    customerId: pick(CUSTOMERS),
    eventType: pick(['upload', 'upload', 'upload', 'other']),
    apiEndpoint: pick(['/a', '/b', undefined]),
    reference: pick(['r-1', 'r-2', undefined]),
    metadata,
  };
  return JSON.parse(JSON.stringify(event)) as MeterEvent;
}

export const region = (document: Document) => (document.where as Document | null)?.region;
export const zone = (document: Document) =>
  ((document.where as Document | null)?.zones as Json[] | undefined)?.at(-2);

/** One meter of each aggregation, with and without dimensions and filters. */
export function modelMeters(eventFromMicros: number): ModelMeter[] {
  const of = (slug: string, aggregation: string, more: object = {}) => ({
    slug,
    eventType: 'upload',
    aggregation,
    ...more,
  });
  const all = () => true;
  const v = ({ v: value }: Document) => value;
  const dimensions = { region: '$.where.region', zone: "$['where'].zones[-2]" };
  const both = { region, zone };
  return [
    { body: of('calls', 'count', { dimensions }), dimensions: both, holds: all },
    { body: of('gb', 'sum', { value: '$.v', dimensions }), value: v, dimensions: both, holds: all },
    {
      body: of('mean', 'avg', { value: '$.v', filter: [{ path: '$.ok', equals: true }] }),
      value: v,
      dimensions: {},
      holds: ({ ok }) => ok === true,
    },
    { body: of('least', 'min', { value: "$['v']" }), value: v, dimensions: {}, holds: all },
    {
      body: of('most', 'max', {
        value: '$.v',
        dimensions: { endpoint: '$.apiEndpoint' },
        eventFrom: iso(eventFromMicros),
      }),
      value: v,
      dimensions: { endpoint: ({ apiEndpoint }) => apiEndpoint },
      holds: all,
      fromMicros: eventFromMicros,
    },
    {
      body: of('last', 'latest', { value: '$.v', dimensions: { region: '$.where.region' } }),
      value: v,
      dimensions: { region },
      holds: all,
    },
    {
      body: of('distinct', 'uniqueCount', { value: '$.v', dimensions }),
      value: v,
      dimensions: both,
      holds: all,
    },
    {
      body: of('slow', 'sum', {
        value: '$.latencyMs',
        filter: [
          { path: '$.latencyMs', greaterThan: 15 },
          { path: '$.reference', in: ['r-1', 'r-2'] },
        ],
      }),
      value: ({ latencyMs }) => latencyMs,
      dimensions: {},
      holds: ({ latencyMs, reference }) =>
        typeof latencyMs === 'number' && latencyMs > 15 && (reference === 'r-1' || reference === 'r-2'),
    },
  ];
}
