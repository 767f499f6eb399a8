import { JsonNumber, jsonNumber, parseJson } from '../../model/json.ts';
import { pointerTo } from '../events/schemaFaults.ts';
import type { Mapping } from './mapping.ts';
import type { RowFault } from './row.ts';
import { type TimeFormat, timeFrom } from './timeFormat.ts';

/** What every event gets that the row says nothing else of, by names of the native event. */
export interface Constants {
  customerId?: string | undefined;
  apiEndpoint?: string | undefined;
  model?: string | undefined;
  eventType?: string | undefined;
  sourceId?: string | undefined;
  reference?: string | undefined;
  unit?: string | undefined;
}

/**
 * The native event that a row stands for, yet to be validated. An empty cell is an absent value.
 *
 * @param cell the value of a column: text from CSV, anything from JSON.
 * @param onFault told of a cell that is not the JSON that it should be.
 */
export function mappedEvent(
  mapping: Mapping,
  constants: Constants,
  cell: (column: string) => unknown,
  timeFormat: TimeFormat,
  onFault: (fault: RowFault) => void,
): Record<string, unknown> {
  const event: Record<string, unknown> = {};
  const metadata: Record<string, unknown> = {};
  for (const { target, column } of mapping.columns) {
    if (target.kind !== 'json') continue; // first: what has a column of its own comes over what is in an object
    const value = cell(column);
    if (value === undefined || value === null || value === '') continue;
    const within = target.in === 'event' ? [] : [target.name];
    const object = objectOf(value, pointerTo(['metadata', ...within]), column, onFault);
    if (target.in === 'metadata') define(metadata, target.name, object);
    else for (const name in object) if (!Object.hasOwn(metadata, name)) define(metadata, name, object[name]);
  }
  for (const { target, column } of mapping.columns) {
    if (target.kind === 'json') continue;
    const value = cell(column);
    if (value === undefined || value === null || value === '') continue;
    (target.in === 'event' ? event : metadata)[target.name] =
      target.kind === 'time'
        ? timeFrom(value, timeFormat)
        : typeof value === 'string'
          ? fromText(value, target.kind)
          : value;
  }
  for (const column of mapping.metadata) {
    const value = cell(column);
    if (value === undefined || value === null || value === '') continue;
    define(metadata, column, value);
  }
  return withConstants(event, metadata, constants);
}

/** A line that is a native event already: what it lacks is filled in. Anything else is left to the validation. */
export function completedEvent(line: unknown, constants: Constants, timeFormat: TimeFormat = 'iso'): unknown {
  if (!isObject(line)) return line;
  const metadata = line.metadata ?? {};
  if (!isObject(metadata)) return line;
  const event = withConstants({ ...line }, { ...metadata }, constants);
  const { timestamp } = event;
  if (typeof timestamp === 'string' || typeof timestamp === 'number' || timestamp instanceof JsonNumber) {
    event.timestamp = timeFrom(timestamp, timeFormat);
  }
  return event;
}

function withConstants(
  event: Record<string, unknown>,
  metadata: Record<string, unknown>,
  { model, reference, ...constants }: Constants,
): Record<string, unknown> {
  for (const name in constants) fill(event, name, constants[name as keyof typeof constants]);
  if (event.sessionId === undefined) fill(event, 'reference', reference);
  fill(metadata, 'model', model);
  event.metadata = metadata;
  return event;
}

/** Null is absent. So is what is undefined, but that would take each row past the short way of plain events. */
function fill(object: Record<string, unknown>, name: string, value: string | undefined): void {
  if (value !== undefined) object[name] ??= value;
  else if (object[name] === null) object[name] = undefined;
}

/** The object that a cell has in it, or null: of a usage object that is a call of which none is known. */
function objectOf(
  cell: unknown,
  pointer: string,
  column: string,
  onFault: (fault: RowFault) => void,
): Record<string, unknown> | null {
  let value = cell;
  try {
    if (typeof cell === 'string') value = parseJson(cell);
  } catch (error) {
    onFault({
      pointer,
      code: 'invalid_json',
      message: `column ${column} is not valid JSON: ${(error as Error).message}`,
    });
    return null;
  }
  if (value === null || (isObject(value) && !(value instanceof JsonNumber))) return value;
  onFault({ pointer, code: 'type_invalid', message: `column ${column} must be an object in JSON` });
  return null;
}

/** A number that does not look like one stays text, and the validation says so. */
function fromText(text: string, kind: 'text' | 'number' | 'decimal'): unknown {
  switch (kind) {
    case 'number': {
      const number = text.trim();
      return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?$/.test(number) ? jsonNumber(number) : text;
    }
    case 'decimal':
      return text.trim();
    case 'text':
      return text;
  }
}

/** Assignment would lose a column called `__proto__`. */
function define(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
