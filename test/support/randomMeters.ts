import { type Document, iso, type ModelMeter, region, unitsOf, zone } from './meterModel.ts';

type Place = [path: string, read: (document: Document) => unknown];

const v: Place = ['$.v', (document) => document.v];
const REGION: Place = ['$.where.region', region];
const ZONE: Place = ["$['where'].zones[-2]", zone];
const ENDPOINT: Place = ['$.apiEndpoint', ({ apiEndpoint }) => apiEndpoint];
const REFERENCE: Place = ['$.reference', ({ reference }) => reference];
const MODEL: Place = ['$.model', ({ model }) => model];
const OK: Place = ['$.ok', ({ ok }) => ok];

/** Places that have numbers, now and then. */
const NUMBERS: Place[] = [
  v,
  v,
  v,
  ["$['v']", v[1]],
  ['$.latencyMs', ({ latencyMs }) => latencyMs],
  ['$.inputTokens', ({ inputTokens }) => inputTokens],
  ['$.value', ({ value }) => value],
  REGION,
];
const MEMBERS: Place[] = [v, v, REGION, ZONE, MODEL, REFERENCE, OK];
const DIMENSIONS: Record<string, Place> = {
  region: REGION,
  zone: ZONE,
  endpoint: ENDPOINT,
  ref: REFERENCE,
  model: MODEL,
  ok: OK,
};

const FILTERS: [condition: object, holds: (document: Document) => boolean][] = [
  [{ path: '$.ok', equals: true }, ({ ok }) => ok === true],
  [{ path: '$.v', lessOrEqual: '2.5' }, ({ v: value }) => (unitsOf(value) ?? TOO_MUCH) <= HALF_OF_FIVE],
  [{ path: '$.latencyMs', greaterThan: 15 }, ({ latencyMs }) => Number(latencyMs ?? 0) > 15],
  [{ path: '$.reference', in: ['order-1', 'r-1'] }, ({ reference: r }) => r === 'order-1' || r === 'r-1'],
  [{ path: '$.model', exists: true }, ({ model }) => model !== undefined],
  [{ path: '$.where.region', equals: 5 }, (document) => region(document) === 5],
];
const HALF_OF_FIVE = 25n * 10n ** 17n;
const TOO_MUCH = HALF_OF_FIVE + 1n;

const AGGREGATIONS = ['count', 'sum', 'avg', 'min', 'max', 'latest', 'uniqueCount', 'uniqueCount'];

/**
 * Any meter of the events that the oracle posts.
 *
 * @param span where it may begin to count, if it does not count all, in ms.
 * @param others now and then it is made of what one of these is made of.
 */
export function randomMeter(
  random: () => number,
  slug: string,
  eventTypes: readonly string[],
  span: { from: number; to: number },
  others: readonly ModelMeter[] = [],
): ModelMeter {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const aggregation = pick(AGGREGATIONS);
  if (others.length > 0 && random() < 0.3) {
    const other = pick(others);
    // A column of numbers has other texts than were sent.
    const isKept = !other.value || aggregation === 'count' || other.body.value === '$.value';
    const same = isKept ? other.body.aggregation : aggregation;
    return { ...other, body: { ...other.body, slug, aggregation: same } };
  }
  const value = aggregation === 'count' ? null : pick(aggregation === 'uniqueCount' ? MEMBERS : NUMBERS);
  const dimensions = Object.entries(DIMENSIONS).filter(
    ([, [, read]]) => read !== value?.[1] && random() < 0.3,
  );
  const filter = FILTERS.filter(() => random() < 0.15);
  const fromMicros =
    random() < 0.2 ? Math.floor((span.from + random() * (span.to - span.from)) * 1_000) : undefined;
  return {
    body: {
      slug,
      eventType: pick(eventTypes),
      aggregation,
      ...(fromMicros !== undefined && { eventFrom: iso(fromMicros) }),
      ...(value && { value: value[0] }),
      ...(filter.length > 0 && { filter: filter.map(([condition]) => condition) }),
      dimensions: Object.fromEntries(dimensions.map(([name, [path]]) => [name, path])),
    },
    ...(value && { value: value[1] }),
    dimensions: Object.fromEntries(dimensions.map(([name, [, read]]) => [name, read])),
    holds: (document) => filter.every(([, holds]) => holds(document)),
    ...(fromMicros !== undefined && { fromMicros }),
  };
}

/** A meter with a dimension more, and the path of that; null where it has all of them. */
export function withDimension(
  random: () => number,
  meter: ModelMeter,
): { meter: ModelMeter; name: string; path: string } | null {
  const missing = Object.entries(DIMENSIONS).filter(
    ([name, [, read]]) => !Object.hasOwn(meter.dimensions, name) && read !== meter.value,
  );
  const found = missing[Math.floor(random() * missing.length)];
  if (!found) return null;
  const [name, [path, read]] = found;
  const body = { ...meter.body, dimensions: { ...(meter.body.dimensions as object), [name]: path } };
  return { meter: { ...meter, body, dimensions: { ...meter.dimensions, [name]: read } }, name, path };
}
