import { z } from '@hono/zod-openapi';
import { TidemarkError } from '../../model/errors.ts';
import { isStorableText } from '../../model/text.ts';
import { MAX_DIMENSIONS, type MeterDefinition } from '../../sums/meters/definition/meterDefinition.ts';
import { CUSTOMER, type MeterQuery } from '../../sums/meters/reading/meterQuery.ts';
import { GRANULARITIES } from '../../sums/rollups/granularity.ts';
import { asOfParameter, microsAsked } from './asOf.ts';
import { bucketRange, MAX_RANGE_MS } from './bucketRange.ts';
import { invalidRequest } from './invalidRequest.ts';
import { momentOf, parseRange } from './range.ts';
import { id, pageQuery, rangeQuery } from './schemas.ts';
import type { Services } from './services.ts';

const DAY_MS = 86_400_000;
/** Customers, and values of one dimension, that one query may name. */
const MOST_VALUES = 100;

const Query = z.strictObject({
  ...rangeQuery,
  granularity: z.enum(GRANULARITIES).optional(),
  timezone: z.string().max(64).default('UTC'),
  groupBy: z.string().max(1_024).default(''),
  customerId: z.array(id).max(MOST_VALUES).optional(),
  without: z.string().max(1_024).default(''),
  asOf: asOfParameter,
  ...pageQuery(1_000, 10_000),
});
type Query = z.infer<typeof Query>;
/** Where one customer asks, whom else there is goes by nobody. */
const OwnQuery = Query.omit({ customerId: true });

const FILTER = /^filter\[(.*)\]$/s;
/** May be given several times. */
const REPEATED = 'customerId';

/** A query, and as of which moment it is asked: µs since the epoch, undefined: now. */
export interface AskedMeterQuery {
  query: MeterQuery;
  asOf: number | undefined;
}

/**
 * What is asked of a meter, from the parameters of a URL: `from`, `to`, `granularity`, `timezone`, `groupBy`,
 * `customerId`, `filter[NAME]`, `without`, `asOf`, `cursor`, `limit`.
 *
 * @param begins since when the meter can be told, in ms since the epoch: asked where nobody says from when on.
 * @param only the one customer that it is about: then neither `customerId` nor grouping by customer are parameters.
 * @throws {TidemarkError} `invalid_request` with pointers, `granularity_invalid`, `range_invalid`, `range_too_large`,
 * `timezone_invalid`.
 */
export async function meterQueryOf(
  asked: URLSearchParams,
  definition: MeterDefinition,
  services: Pick<Services, 'zones' | 'config'>,
  begins: () => Promise<number>,
  only?: string,
): Promise<AskedMeterQuery> {
  const plain: Record<string, unknown> = Object.create(null);
  const filters: Record<string, (string | null)[]> = Object.create(null);
  for (const name of new Set(asked.keys())) {
    const values = asked.getAll(name);
    const dimension = FILTER.exec(name)?.[1];
    if (dimension !== undefined) filters[dimension] = filterValues(name, values);
    else plain[name] = name === REPEATED || values.length > 1 ? values : values[0];
  }
  const parsed = (only === undefined ? Query : OwnQuery).safeParse({ ...plain });
  if (!parsed.success) throw invalidRequest(parsed.error.issues);
  const { granularity, customerId, cursor, limit } = parsed.data as Query;
  for (const dimension of listed('without', parsed.data.without, definition)) {
    filters[dimension] = [...(filters[dimension] ?? []), null];
  }
  for (const dimension of Object.keys(filters)) requireDimension('filter', dimension, definition);
  const groupBy = listed('groupBy', parsed.data.groupBy, definition, only === undefined ? [CUSTOMER] : []);
  const asOf = microsAsked('asOf', parsed.data.asOf);
  const now = asOf === undefined ? { begins } : { begins: undefined, nowMs: asOf / 1_000 };
  const range = await rangeOf(parsed.data, services, now);
  const query = {
    ...range,
    granularity: granularity ?? null,
    groupBy,
    customers: only === undefined ? (customerId ?? null) : [only],
    filters,
    cursor,
    limit,
  };
  return { query, asOf };
}

/** The range, and what the zone's clock is ahead of UTC around it: a zone that is named must be one. */
async function rangeOf(
  { from, to, granularity, timezone }: Query,
  services: Pick<Services, 'zones' | 'config'>,
  { begins, nowMs }: { begins: (() => Promise<number>) | undefined; nowMs?: number },
): Promise<Pick<MeterQuery, 'fromMicros' | 'toMicros' | 'offsets'>> {
  if (granularity !== undefined) {
    const { offsets, ...range } = await bucketRange(
      { from, to },
      granularity,
      timezone,
      services,
      momentOf,
      begins,
      nowMs,
    );
    return { ...microsOf(range), offsets };
  }
  const range = await meterRange({ from, to }, services, begins, nowMs);
  const offsets = await services.zones.offsets(timezone, range.fromMicros / 1_000, range.toMicros / 1_000);
  return { ...range, offsets };
}

/**
 * The range of a query without windows, by default the last day, as far as it can be told.
 *
 * @param begins as of `meterQueryOf`.
 * @throws {TidemarkError} `range_invalid`, `range_too_large`.
 */
export async function meterRange(
  range: { from: string | undefined; to: string | undefined },
  { config }: Pick<Services, 'config'>,
  begins: (() => Promise<number>) | undefined,
  nowMs?: number,
): Promise<{ fromMicros: number; toMicros: number }> {
  const defaults = { lengthMs: DAY_MS, aheadMs: config.ingest.acceptAheadMs, maxMs: MAX_RANGE_MS, nowMs };
  const { from, to } = parseRange(range, defaults, momentOf);
  if (range.from !== undefined || begins === undefined) return microsOf({ from, to });
  const begun = await begins();
  return microsOf({ from: begun < to ? Math.max(from, begun) : from, to });
}

function microsOf({ from, to }: { from: number; to: number }): { fromMicros: number; toMicros: number } {
  return { fromMicros: Math.round(from * 1_000), toMicros: Math.round(to * 1_000) };
}

function filterValues(name: string, values: string[]): string[] {
  if (values.length > MOST_VALUES) throw refused(name, 'too_many', `at most ${MOST_VALUES} values`);
  const unstorable = values.some((value) => !isStorableText(value));
  if (unstorable) throw refused(name, 'text_invalid', 'must not contain NUL or unpaired surrogates');
  return values;
}

/** Names separated by commas, each once. */
function listed(
  parameter: string,
  text: string,
  definition: MeterDefinition,
  besides: string[] = [],
): string[] {
  if (text === '') return [];
  const names = text.split(',').map((name) => name.trim());
  if (new Set(names).size < names.length || names.length > MAX_DIMENSIONS + besides.length) {
    throw refused(parameter, 'repeated', 'each name at most once');
  }
  for (const name of names) {
    if (!besides.includes(name)) requireDimension(parameter, name, definition, besides);
  }
  return names;
}

function requireDimension(
  parameter: string,
  name: string,
  { dimensions }: MeterDefinition,
  besides: string[] = [],
): void {
  if (Object.hasOwn(dimensions, name)) return;
  const known = [...besides, ...Object.keys(dimensions)].join(', ');
  throw refused(
    parameter,
    'unknown_dimension',
    known === '' ? 'the meter has no dimensions' : `the meter has no dimension ${name}; it has ${known}`,
  );
}

function refused(parameter: string, code: string, message: string): TidemarkError {
  const pointer = `/${parameter.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return new TidemarkError('invalid_request', `${parameter}: ${message}`, {
    errors: [{ index: 0, pointer, code, message }],
  });
}
