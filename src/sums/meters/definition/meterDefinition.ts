import { createHash } from 'node:crypto';
import { JsonNumber, parseJson, stringifyJson } from '../../../model/json.ts';
import { isStorableText } from '../../../model/text.ts';
import { formatTimestamp, parseTimestamp, timestampFault } from '../../../model/timestamp.ts';
import { type Condition, checkFilter, normalFilter } from './conditions.ts';
import { type DefinitionFault, pointerTo, type TellFault } from './definitionFault.ts';
import { checkPath, normalPath } from './paths.ts';

export type { Condition, Scalar } from './conditions.ts';
export type { DefinitionFault } from './definitionFault.ts';

/** How the values of a meter's events become one number. */
export const AGGREGATIONS = ['count', 'sum', 'avg', 'min', 'max', 'latest', 'uniqueCount'] as const;
export type Aggregation = (typeof AGGREGATIONS)[number];

/** What makes a meter's numbers: which events it counts, and what of them. Paths are singular JSONPath (RFC 9535). */
export interface MeterDefinition {
  /** The type of its events, exactly. */
  eventType: string;
  /** Events before it are not counted, in microseconds since the Unix epoch. */
  eventFromMicros: number | null;
  aggregation: Aggregation;
  /** Path of what is aggregated; null where events are counted. */
  value: string | null;
  /** By name, the path of the value by which results can be told apart. */
  dimensions: Record<string, string>;
  /** All of them must hold. */
  filter: Condition[];
}

/** What is kept for meters: several may read one. In one form, so that what is equal has equal JSON. */
export interface SeriesDefinition {
  /** Set: not of a meter, but what all AI usage of the tenant adds up to (usageSeries.ts). */
  kind?: 'usage';
  eventType: string;
  eventFromMicros: number | null;
  filter: Condition[];
  /** The paths of all dimensions, normalised, sorted by UTF-16 code units, each once. */
  paths: string[];
  /** Normalised; null where only events are counted. */
  value: string | null;
  /** Whether the values are members of a set rather than numbers. */
  distinct: boolean;
}

export const MAX_DIMENSIONS = 10;
/** Longest type of an event, in UTF-16 code units. */
const MAX_EVENT_TYPE = 128;
const MAX_DIMENSION_NAME = 64;
const DIMENSION_NAME = /^[a-zA-Z_][0-9a-zA-Z_]*$/;
/** Names that mean something else where results are asked for or answered. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  'subject',
  'customer',
  'customerId',
  'customer_id',
  'value',
  'windowStart',
  'windowEnd',
  'window_start',
  'window_end',
  'number',
  'events',
  'ignored',
  'state',
  'revision',
  '__proto__',
]);
const MEMBERS = ['eventType', 'eventFrom', 'aggregation', 'value', 'dimensions', 'filter'];

/**
 * Checks a definition as it was sent: `{eventType, eventFrom?, aggregation, value?, dimensions?, filter?}`, parsed by
 * `parseJson`, or by JSON.parse where its numbers need no more digits than a double has. Members that are null or left
 * out are not set.
 *
 * @param beside names of members that the caller reads itself, such as the slug: any other is a fault.
 * @returns the definition with its paths and conditions as they were sent, or all its faults.
 */
export function checkMeterDefinition(
  input: unknown,
  beside: readonly string[] = [],
): { definition: MeterDefinition; faults?: never } | { definition?: never; faults: DefinitionFault[] } {
  if (!isObject(input)) {
    return { faults: [{ pointer: '', code: 'type_invalid', message: 'must be an object' }] };
  }
  const faults: DefinitionFault[] = [];
  const tell: TellFault = (pointer, code, message) => faults.push({ pointer, code, message });
  for (const name of Object.keys(input)) {
    if (MEMBERS.includes(name) || beside.includes(name)) continue;
    tell(pointerTo(name), 'unknown_field', 'is no part of a meter');
  }
  const { eventType, eventFrom, aggregation, value, dimensions, filter } = input;
  checkEventType(eventType, tell);
  const eventFromMicros = checkEventFrom(eventFrom, tell);
  const isKnown = (AGGREGATIONS as readonly unknown[]).includes(aggregation);
  if (aggregation == null) tell('/aggregation', 'required', `is required: ${AGGREGATIONS.join(', ')}`);
  else if (!isKnown) tell('/aggregation', 'not_allowed', `must be one of ${AGGREGATIONS.join(', ')}`);
  const valuePath = checkValue(value, aggregation, tell);
  const found = dimensions == null ? {} : checkDimensions(dimensions, valuePath, '/dimensions', tell);
  const conditions = filter == null ? [] : checkFilter(filter, '/filter', tell);
  if (faults.length > 0) return { faults };
  return {
    definition: {
      eventType: eventType as string,
      eventFromMicros,
      aggregation: aggregation as Aggregation,
      value: (value as string | null | undefined) ?? null,
      dimensions: found,
      filter: conditions,
    },
  };
}

/**
 * Checks dimensions that are to be added to a definition.
 *
 * @returns all dimensions, those of before included, or the faults of what was sent, by pointers into the meter.
 */
export function checkAddedDimensions(
  definition: MeterDefinition,
  added: unknown,
):
  | { dimensions: Record<string, string>; faults?: never }
  | { dimensions?: never; faults: DefinitionFault[] } {
  const faults: DefinitionFault[] = [];
  const tell: TellFault = (pointer, code, message) => faults.push({ pointer, code, message });
  const value = definition.value === null ? null : normalPath(definition.value);
  const found = checkDimensions(added, value, '/dimensions', tell);
  if (faults.length > 0) return { faults };
  for (const [name, path] of Object.entries(found)) {
    if (!Object.hasOwn(definition.dimensions, name)) continue;
    if (normalPath(path) === normalPath(definition.dimensions[name]!)) continue;
    tell(pointerTo('dimensions', name), 'immutable', 'is there already, with another path');
  }
  const dimensions = Object.fromEntries([...Object.entries(definition.dimensions), ...Object.entries(found)]);
  if (Object.keys(dimensions).length > MAX_DIMENSIONS) {
    tell('/dimensions', 'too_many', `a meter may have at most ${MAX_DIMENSIONS} dimensions`);
  }
  return faults.length > 0 ? { faults } : { dimensions };
}

function checkEventType(input: unknown, tell: TellFault): void {
  if (input == null) tell('/eventType', 'required', 'is required');
  else if (typeof input !== 'string') tell('/eventType', 'type_invalid', 'must be a string');
  else if (input === '') tell('/eventType', 'too_short', 'must not be empty');
  else if (input.length > MAX_EVENT_TYPE) {
    tell('/eventType', 'too_long', `may have at most ${MAX_EVENT_TYPE} characters`);
  } else if (!isStorableText(input)) {
    tell('/eventType', 'text_invalid', 'must not contain NUL or unpaired surrogates');
  }
}

function checkEventFrom(input: unknown, tell: TellFault): number | null {
  if (input == null) return null;
  if (typeof input !== 'string') tell('/eventFrom', 'type_invalid', 'must be an RFC 3339 date-time');
  else {
    const micros = parseTimestamp(input);
    if (Number.isNaN(micros)) tell('/eventFrom', 'timestamp_invalid', timestampFault(input));
    else if (!Number.isSafeInteger(micros)) {
      tell(
        '/eventFrom',
        'out_of_range',
        'must be in the years 1685 to 2254, whose microseconds can be told apart',
      );
    } else return micros;
  }
  return null;
}

/** @returns the normalised path; null where there is none, or a fault. */
function checkValue(input: unknown, aggregation: unknown, tell: TellFault): string | null {
  if (aggregation === 'count') {
    if (input != null) tell('/value', 'value_not_allowed', 'count counts events: it has no value');
    return null;
  }
  if (input == null) {
    if (aggregation != null) tell('/value', 'required', 'is required for every aggregation but count');
    return null;
  }
  return checkPath(input, '/value', tell);
}

function checkDimensions(
  input: unknown,
  value: string | null,
  base: string,
  tell: TellFault,
): Record<string, string> {
  if (!isObject(input)) {
    tell(base, 'type_invalid', 'must be an object of names and paths');
    return {};
  }
  const entries = Object.entries(input);
  if (entries.length > MAX_DIMENSIONS) {
    tell(base, 'too_many', `a meter may have at most ${MAX_DIMENSIONS} dimensions`);
    return {};
  }
  for (const [name, path] of entries) {
    const pointer = base + pointerTo(name);
    if (name.length > MAX_DIMENSION_NAME || !DIMENSION_NAME.test(name)) {
      tell(
        pointer,
        'name_invalid',
        `a dimension is named by at most ${MAX_DIMENSION_NAME} letters, digits and _`,
      );
    } else if (RESERVED_NAMES.has(name)) {
      tell(pointer, 'name_reserved', 'means something else in queries and their answers');
    }
    const normal = checkPath(path, pointer, tell);
    if (normal !== null && normal === value) {
      tell(pointer, 'path_repeated', "is the path of the meter's value");
    }
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

/** The series that has what a meter is made of. */
export function seriesOf(definition: MeterDefinition): SeriesDefinition {
  const { eventType, eventFromMicros, aggregation, value, dimensions, filter } = definition;
  return {
    eventType,
    eventFromMicros,
    filter: normalFilter(filter),
    paths: [...new Set(Object.values(dimensions).map(normalPath))].sort(),
    value: value === null ? null : normalPath(value),
    distinct: aggregation === 'uniqueCount',
  };
}

/** For each dimension by its name where its value stands among those of the series' paths, from 0. */
export function dimensionPlaces(
  { dimensions }: Pick<MeterDefinition, 'dimensions'>,
  { paths }: Pick<SeriesDefinition, 'paths'>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(dimensions).map(([name, path]) => [name, paths.indexOf(normalPath(path))]),
  );
}

/** The JSON under which a series is kept: equal series, equal texts. */
export function seriesJson(series: SeriesDefinition): string {
  const { kind, eventType, eventFromMicros, filter, paths, value, distinct } = series;
  const eventFrom = eventFromMicros === null ? null : formatTimestamp(eventFromMicros);
  return stringifyJson({ ...(kind && { kind }), eventType, eventFrom, filter, paths, value, distinct });
}

/** SHA-256 of the JSON, in 32 bytes: one series has one digest within its tenant. */
export function seriesDigest(series: SeriesDefinition): Buffer {
  return createHash('sha256').update(seriesJson(series)).digest();
}

/** The inverse of `seriesJson`, also once jsonb has had it: ask for its text, whose numbers have all their digits. */
export function seriesFromJson(json: string): SeriesDefinition {
  const { eventFrom, filter, ...rest } = parseJson(json) as Omit<SeriesDefinition, 'eventFromMicros'> & {
    eventFrom: string | null;
  };
  const eventFromMicros = eventFrom === null ? null : parseTimestamp(eventFrom);
  return { ...rest, eventFromMicros, filter: normalFilter(filter) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)
  );
}
