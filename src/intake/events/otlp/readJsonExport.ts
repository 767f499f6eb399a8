import { isUtf8 } from 'node:buffer';
import { TidemarkError } from '../../../model/errors.ts';
import { holdsLongNumber, JsonNumber, parseJsonExactly } from '../../../model/json.ts';
import { withoutMark } from '../byteOrderMark.ts';
import { pointerTo } from '../schemaFaults.ts';
import type { Wanted } from './conventions.ts';
import {
  type Attributes,
  type AttributeValue,
  idFromHex,
  LISTS,
  type NewAttributes,
  NO_ATTRIBUTES,
  newAttributes,
  newItem,
  type OnItem,
  type OtlpItem,
  type Signal,
  SPAN_ID_BYTES,
  STATUS_ERROR,
  TRACE_ID_BYTES,
  UNREADABLE,
} from './otlpItem.ts';

/** Levels of a log record's body that are read; what is deeper is left out. */
const MAX_BODY_DEPTH = 32;

type Members = Readonly<Record<string, unknown>>;

/**
 * Reads an export in JSON (OTLP 1.x, "JSON Protobuf Encoding"): ids in hex, 64-bit integers as texts or, as exporters
 * in JavaScript write them, as numbers.
 *
 * @param wanted the attributes that are read; others are passed over.
 * @throws {TidemarkError} `invalid_encoding`, `invalid_json`, `invalid_request` where a list is none.
 */
export function readJsonExport(received: Buffer, signal: Signal, wanted: Wanted, onItem: OnItem): void {
  const body = withoutMark(received);
  if (!isUtf8(body)) throw new TidemarkError('invalid_encoding', 'the body is not valid UTF-8');
  const [outer, middle, inner] = LISTS[signal];
  const document = parse(body);
  if (!isObject(document)) throw new TidemarkError('invalid_request', 'the body must be a JSON object');
  const readItem = signal === 'traces' ? readSpan : readRecord;
  for (const [i, group] of listOf(document, outer, '').entries()) {
    const base = `/${outer}/${i}`;
    const { resource } = group;
    const shared = isObject(resource) ? attributesOf(resource.attributes, wanted) : NO_ATTRIBUTES;
    for (const [j, scope] of listOf(group, middle, base).entries()) {
      const path = `${base}/${middle}/${j}`;
      const list = `${path}/${inner}`;
      const records = listOf(scope, inner, path);
      for (let position = 0; position < records.length; position++) {
        const item = newItem(list, position, shared);
        readItem(item, records[position]!, wanted);
        onItem(item);
      }
    }
  }
}

function parse(body: Buffer): unknown {
  const text = body.toString('utf8');
  try {
    return holdsLongNumber(body) ? parseJsonExactly(text) : JSON.parse(text);
  } catch (error) {
    throw new TidemarkError('invalid_json', `the body is not valid JSON: ${(error as Error).message}`);
  }
}

/** @throws {TidemarkError} `invalid_request`. */
function listOf(holder: Members, name: string, base: string): Members[] {
  const list = holder[name];
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) throw new TidemarkError('invalid_request', `${base}/${name} must be an array`);
  for (let i = 0; i < list.length; i++) {
    if (!isObject(list[i])) {
      throw new TidemarkError('invalid_request', `${base}${pointerTo([name, i])} must be an object`);
    }
  }
  return list as Members[];
}

function readSpan(item: OtlpItem, span: Members, wanted: Wanted): void {
  item.attributes = attributesOf(span.attributes, wanted);
  item.traceId = idFromHex(span.traceId, TRACE_ID_BYTES);
  item.spanId = idFromHex(span.spanId, SPAN_ID_BYTES);
  item.parentSpanId = idFromHex(span.parentSpanId, SPAN_ID_BYTES);
  item.start = digitsOf(span.startTimeUnixNano);
  item.end = digitsOf(span.endTimeUnixNano);
  const { status } = span;
  if (!isObject(status)) return;
  item.failed = status.code === STATUS_ERROR || status.code === 'STATUS_CODE_ERROR';
  if (typeof status.message === 'string') item.statusMessage = status.message;
}

function readRecord(item: OtlpItem, record: Members, wanted: Wanted): void {
  item.attributes = attributesOf(record.attributes, wanted);
  item.traceId = idFromHex(record.traceId, TRACE_ID_BYTES);
  item.spanId = idFromHex(record.spanId, SPAN_ID_BYTES);
  const time = digitsOf(record.timeUnixNano);
  item.end = time === '' || time === '0' ? digitsOf(record.observedTimeUnixNano) : time;
  if (isObject(record.body)) item.body = plainValue(record.body, MAX_BODY_DEPTH);
}

function digitsOf(value: unknown): string {
  const text = value instanceof JsonNumber || typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && /^\d{1,20}$/.test(text) ? text : '';
}

function attributesOf(list: unknown, wanted: Wanted): Attributes {
  let attributes: NewAttributes | undefined;
  if (!Array.isArray(list)) return NO_ATTRIBUTES;
  for (const entry of list as unknown[]) {
    const number = isObject(entry) ? wanted.numbers.get(entry.key as string) : undefined;
    if (number === undefined) continue;
    const { value: any } = entry as Members;
    const value = isObject(any) ? anyValueOf(any) : undefined;
    if (value === undefined) continue;
    attributes ??= newAttributes(wanted);
    attributes[number] = value;
  }
  return attributes ?? NO_ATTRIBUTES;
}

/** undefined: it has no value, which is as if it were not there. */
function anyValueOf(value: Members): AttributeValue | undefined {
  if (value.stringValue !== undefined) {
    return typeof value.stringValue === 'string' ? value.stringValue : UNREADABLE;
  }
  if (value.intValue !== undefined) return integerOf(value.intValue);
  if (value.boolValue !== undefined)
    return typeof value.boolValue === 'boolean' ? value.boolValue : UNREADABLE;
  if (value.doubleValue !== undefined) return doubleOf(value.doubleValue);
  if (value.arrayValue !== undefined) return textsOf(value.arrayValue);
  return value.kvlistValue !== undefined || value.bytesValue !== undefined ? UNREADABLE : undefined;
}

function integerOf(value: unknown): AttributeValue {
  if (typeof value === 'number') return Number.isInteger(value) ? value : UNREADABLE;
  const text = value instanceof JsonNumber ? String(value) : value;
  if (typeof text !== 'string' || !/^-?\d{1,20}$/.test(text)) return UNREADABLE;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

function doubleOf(value: unknown): AttributeValue {
  if (typeof value === 'number') return value;
  if (value instanceof JsonNumber) return Number(value);
  return typeof value === 'string' && value !== '' ? Number(value) : UNREADABLE;
}

function textsOf(array: unknown): AttributeValue {
  const values = isObject(array) ? (array.values ?? []) : undefined;
  if (!Array.isArray(values)) return UNREADABLE;
  const texts: string[] = [];
  for (const value of values as unknown[]) {
    if (isObject(value) && typeof value.stringValue === 'string') texts.push(value.stringValue);
  }
  return texts;
}

/** An AnyValue as what JSON has for it. */
function plainValue(value: Members, levels: number): unknown {
  if (levels === 0) return undefined;
  const { arrayValue, kvlistValue } = value;
  if (isObject(arrayValue)) {
    const { values } = arrayValue;
    return Array.isArray(values)
      ? values.map((one) => (isObject(one) ? plainValue(one, levels - 1) : null))
      : [];
  }
  if (isObject(kvlistValue)) {
    const members = Object.create(null) as Record<string, unknown>;
    const { values } = kvlistValue;
    for (const entry of Array.isArray(values) ? (values as unknown[]) : []) {
      if (!isObject(entry) || typeof entry.key !== 'string' || !isObject(entry.value)) continue;
      members[entry.key] = plainValue(entry.value, levels - 1);
    }
    return members;
  }
  const scalar = anyValueOf(value);
  return typeof scalar === 'bigint'
    ? new JsonNumber(String(scalar))
    : scalar === UNREADABLE
      ? undefined
      : scalar;
}

function isObject(value: unknown): value is Members {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)
  );
}
