import { TidemarkError } from '../../../../model/errors.ts';
import { parseTimestamp, timestampFault } from '../../../../model/timestamp.ts';
import type { Granularity } from '../../../../sums/rollups/granularity.ts';
import { requireStorable } from '../requireStorable.ts';

const WINDOW: Record<string, Granularity> = { MINUTE: '1m', HOUR: '1h', DAY: '1d', MONTH: '1mo' };
/** Subjects, customers and values of a filter that may be asked for at a time. */
const MAX_CHOICES = 100;
const MAX_LIMIT = 10_000;

/** What is asked of a meter, by GET or POST. */
export interface OpenMeterQuery {
  /** Microseconds since the epoch; null: not said. */
  fromMicros: number | null;
  toMicros: number | null;
  windowSize: string | null;
  granularity: Granularity | null;
  timeZone: string;
  /** By whom results are told apart, in the order of the answer's columns. */
  bySubject: boolean;
  byCustomer: boolean;
  /** Names of dimensions. */
  groupBy: string[];
  /** Subjects and customers alike, since they are one here; null: all. */
  customers: string[] | null;
  /** Customers that were named as such: each must be there. */
  namedCustomers: string[];
  filters: Record<string, (string | null)[]>;
  /** Null: all rows at once, as the client knows it. */
  limit: number | null;
  cursor: string | undefined;
}

/**
 * Reads the parameters of a GET: arrays are repeated, objects are `name[key]=value`.
 *
 * @throws {TidemarkError} as `readQuery`.
 */
export function readUrlQuery(parameters: URLSearchParams, dimensions: readonly string[]): OpenMeterQuery {
  const filters: Record<string, string[]> = Object.create(null);
  for (const [name, value] of parameters) {
    const key = /^filterGroupBy\[(.+)\]$/.exec(name)?.[1];
    if (key !== undefined) filters[key] = [...(filters[key] ?? []), value];
  }
  const one = (name: string) => parameters.get(name) ?? undefined;
  const many = (name: string) => {
    const values = parameters.getAll(name);
    return values.length === 0 ? undefined : values;
  };
  return readQuery(
    {
      from: one('from'),
      to: one('to'),
      windowSize: one('windowSize'),
      windowTimeZone: one('windowTimeZone'),
      subject: many('subject'),
      filterCustomerId: many('filterCustomerId'),
      groupBy: many('groupBy'),
      filterGroupBy: filters,
      advancedMeterGroupByFilters:
        one('advancedMeterGroupByFilters') && parsed(one('advancedMeterGroupByFilters')!),
      limit: one('limit') === undefined ? undefined : Number(one('limit')),
      cursor: one('cursor'),
    },
    dimensions,
  );
}

/**
 * Reads a query as the body of a POST has it.
 *
 * @param dimensions of the meter, which are all that can be asked for.
 * @throws {TidemarkError} `invalid_request`, `range_invalid`; `not_implemented` for filters by more than equality.
 */
export function readQuery(sent: Record<string, unknown>, dimensions: readonly string[]): OpenMeterQuery {
  const fromMicros = momentOf('from', sent.from);
  const toMicros = momentOf('to', sent.to);
  if (fromMicros !== null && toMicros !== null && fromMicros >= toMicros) {
    throw new TidemarkError('range_invalid', 'from must be before to');
  }
  const windowSize = (sent.windowSize ?? null) as string | null;
  if (windowSize !== null && !Object.hasOwn(WINDOW, windowSize)) {
    throw invalid(`windowSize may be ${Object.keys(WINDOW).join(', ')}`);
  }
  const timeZone = sent.windowTimeZone ?? 'UTC';
  if (typeof timeZone !== 'string') throw invalid('windowTimeZone must be the name of a time zone');
  const subjects = texts('subject', sent.subject);
  const namedCustomers = texts('filterCustomerId', sent.filterCustomerId) ?? [];
  const groups = texts('groupBy', sent.groupBy) ?? [];
  for (const name of groups) {
    if (name !== 'subject' && name !== 'customer_id' && !dimensions.includes(name)) {
      throw invalid(`invalid group by: ${name}`);
    }
  }
  const bySubject = subjects !== null || groups.includes('subject');
  const byCustomer = namedCustomers.length > 0 || groups.includes('customer_id');
  if (byCustomer && namedCustomers.length === 0) {
    throw invalid('customer_id in groupBy needs a filter by customer: filterCustomerId');
  }
  const filters = readFilters(sent, dimensions);
  const limit = sent.limit ?? null;
  if (
    limit !== null &&
    !(Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= MAX_LIMIT)
  ) {
    throw invalid(`limit must be a number from 1 to ${MAX_LIMIT}`);
  }
  return {
    fromMicros,
    toMicros,
    windowSize,
    granularity: windowSize === null ? null : WINDOW[windowSize]!,
    timeZone,
    bySubject,
    byCustomer,
    groupBy: [...new Set(groups.filter((name) => name !== 'subject' && name !== 'customer_id'))],
    customers: both(subjects, namedCustomers),
    namedCustomers,
    filters,
    limit: limit as number | null,
    cursor: typeof sent.cursor === 'string' ? sent.cursor : undefined,
  };
}

/** A customer is its own subject here: those asked for as both. */
function both(subjects: string[] | null, customers: string[]): string[] | null {
  if (subjects === null) return customers.length === 0 ? null : customers;
  return customers.length === 0 ? subjects : subjects.filter((subject) => customers.includes(subject));
}

function readFilters(
  { filterGroupBy, advancedMeterGroupByFilters }: Record<string, unknown>,
  dimensions: readonly string[],
): Record<string, (string | null)[]> {
  const simple = Object.entries(membersOf('filterGroupBy', filterGroupBy)).map(
    ([name, value]) => [name, texts(`filterGroupBy.${name}`, value) ?? []] as const,
  );
  const advanced = Object.entries(membersOf('advancedMeterGroupByFilters', advancedMeterGroupByFilters)).map(
    ([name, value]) => [name, equals(name, membersOf(`the filter of ${name}`, value))] as const,
  );
  if (simple.length > 0 && advanced.length > 0) {
    throw invalid('filterGroupBy and advancedMeterGroupByFilters exclude each other');
  }
  for (const [name] of [...simple, ...advanced]) {
    if (!dimensions.includes(name)) throw invalid(`invalid group by filter: ${name}`);
  }
  // A text without characters is what the client knows of a value that is not there.
  return Object.fromEntries(
    [...simple, ...advanced].map(([name, values]) => [
      name,
      values.includes('') ? [...values, null] : values,
    ]),
  );
}

/** `$eq` and `$in`, which is what a meter can be asked for here. */
function equals(name: string, filter: Record<string, unknown>): string[] {
  const values = Object.entries(filter).map(([operator, value]) => {
    if (operator !== '$eq' && operator !== '$in') {
      throw new TidemarkError('not_implemented', `the filter of ${name}: only $eq and $in are taken here`);
    }
    return texts(`${operator} of ${name}`, value) ?? [];
  });
  const [first = [], ...others] = values;
  return first.filter((value) => others.every((other) => other.includes(value)));
}

function texts(name: string, value: unknown): string[] | null {
  if (value === undefined || value === null) return null;
  const values = Array.isArray(value) ? value : [value];
  if (!values.every((text) => typeof text === 'string')) throw invalid(`${name} must be texts`);
  for (const text of values) requireStorable(name, text as string);
  if (values.length > MAX_CHOICES) throw invalid(`${name} may have at most ${MAX_CHOICES} values`);
  return values.length === 0 ? null : [...new Set(values as string[])];
}

function membersOf(name: string, value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(`${name} must be an object`);
  return value as Record<string, unknown>;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw invalid('advancedMeterGroupByFilters must be JSON');
  }
}

function momentOf(name: string, value: unknown): number | null {
  if (value === undefined || value === null) return null;
  // A plus sign that was not percent-encoded arrives as a space.
  const text = String(value).replace(/ (?=\d\d:?\d\d$)/, '+');
  const micros = parseTimestamp(text);
  if (Number.isNaN(micros)) throw new TidemarkError('range_invalid', `${name} ${timestampFault(text)}`);
  if (micros < 0 || micros > Date.UTC(9999, 0, 1) * 1_000) {
    throw new TidemarkError('range_invalid', `${name} is out of bounds`);
  }
  return micros;
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_request', message);
}
