import protobuf from 'protobufjs/minimal.js';
import { TidemarkError } from '../../../model/errors.ts';
import { JsonNumber } from '../../../model/json.ts';
import {
  type Attributes,
  type AttributeValue,
  idFromHex,
  LISTS,
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

type Reader = protobuf.Reader;

/** The keys that are wanted, found by their bytes: a text is made of none of the others. */
class Keys {
  private static readonly made = new WeakMap<ReadonlySet<string>, Keys>();
  private readonly byHash = new Map<number, { key: string; bytes: Uint8Array }[]>();

  private constructor(keys: ReadonlySet<string>) {
    for (const key of keys) {
      const bytes = Buffer.from(key, 'utf8');
      const hash = hashOf(bytes, 0, bytes.length);
      this.byHash.set(hash, [...(this.byHash.get(hash) ?? []), { key, bytes }]);
    }
  }

  static of(keys: ReadonlySet<string>): Keys {
    let made = Keys.made.get(keys);
    if (!made) {
      made = new Keys(keys);
      Keys.made.set(keys, made);
    }
    return made;
  }

  /** @returns undefined where it is none of them. */
  find(body: Uint8Array, from: number, to: number): string | undefined {
    const found = this.byHash.get(hashOf(body, from, to));
    if (found === undefined) return undefined;
    for (const { key, bytes } of found) if (isAt(body, from, to, bytes)) return key;
    return undefined;
  }
}

/** FNV-1a of 32 bits. */
function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}

function isAt(body: Uint8Array, from: number, to: number, bytes: Uint8Array): boolean {
  if (to - from !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (body[from + i] !== bytes[i]) return false;
  return true;
}

/** Levels of values in values, beyond which a body is refused. */
const MAX_DEPTH = 32;

/** What carries a length before it: strings, bytes, messages. */
const LENGTH = 2;
/** Tags: number of the field and how it is on the wire. */
const tag = (field: number, wire: number) => (field << 3) | wire;
const of = (field: number) => tag(field, LENGTH);

/*
 * The messages of opentelemetry-proto 1.x, of which only these fields are read. Fields have the same numbers in the
 * messages of traces and of logs wherever they do not stand here twice.
 *
 *   ExportTraceServiceRequest, ExportLogsServiceRequest: 1 resource_spans, resource_logs
 *   ResourceSpans, ResourceLogs: 1 resource, 2 scope_spans, scope_logs
 *   Resource: 1 attributes
 *   ScopeSpans, ScopeLogs: 2 spans, log_records
 *   KeyValue: 1 key, 2 value
 *   AnyValue: 1 string, 2 bool, 3 int64, 4 double, 5 ArrayValue, 6 KeyValueList, 7 bytes
 *   ArrayValue, KeyValueList: 1 values
 */
const GROUP = of(1);
const RESOURCE = of(1);
const SCOPE = of(2);
const ITEM = of(2);
const RESOURCE_ATTRIBUTE = of(1);

const SPAN = {
  traceId: of(1),
  spanId: of(2),
  parentSpanId: of(4),
  start: tag(7, 1),
  end: tag(8, 1),
  attribute: of(9),
  status: of(15),
};
const STATUS = { message: of(2), code: tag(3, 0) };
const RECORD = {
  time: tag(1, 1),
  body: of(5),
  attribute: of(6),
  traceId: of(9),
  spanId: of(10),
  observedTime: tag(11, 1),
};
const ANY = { string: of(1), bool: tag(2, 0), int: tag(3, 0), double: tag(4, 1), array: of(5), list: of(6) };
const KEY = of(1);
const VALUE = of(2);
const VALUES = of(1);

/**
 * Reads an export in protobuf, straight from the wire: what nobody asks for, prompts and answers among it, is passed over
 * unread (docs/adr/0042).
 *
 * @param wanted keys of the attributes that are read.
 * @throws {TidemarkError} `invalid_encoding` where it is no such message.
 */
export function readProtobufExport(
  body: Buffer,
  signal: Signal,
  wanted: ReadonlySet<string>,
  onItem: OnItem,
): void {
  const reader = protobuf.Reader.create(body);
  try {
    readGroups(reader, signal, Keys.of(wanted), onItem);
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    const { message } = error as Error;
    throw new TidemarkError('invalid_encoding', `the body is not an export in protobuf: ${message}`);
  }
}

function readGroups(reader: Reader, signal: Signal, keys: Keys, onItem: OnItem): void {
  const [outer] = LISTS[signal];
  let group = 0;
  eachField(reader, reader.len, (field) => {
    if (field !== GROUP) return false;
    const end = endOf(reader);
    // The resource may come behind what is of it.
    const resource = newAttributes();
    const from = reader.pos;
    eachField(reader, end, (inside) => {
      if (inside !== RESOURCE) return false;
      eachField(
        reader,
        endOf(reader),
        (part) => part === RESOURCE_ATTRIBUTE && readAttribute(reader, keys, resource),
      );
      return true;
    });
    reader.pos = from;
    readScopes(reader, end, `/${outer}/${group++}`, { signal, keys, resource, onItem });
    return true;
  });
}

interface Group {
  signal: Signal;
  keys: Keys;
  resource: Attributes;
  onItem: OnItem;
}

function readScopes(
  reader: Reader,
  end: number,
  base: string,
  { signal, keys, resource, onItem }: Group,
): void {
  const [, middle, inner] = LISTS[signal];
  const readItem = signal === 'traces' ? readSpan : readRecord;
  let scope = 0;
  eachField(reader, end, (inside) => {
    if (inside !== SCOPE) return false;
    const path = `${base}/${middle}/${scope++}/${inner}/`;
    let index = 0;
    eachField(reader, endOf(reader), (part) => {
      if (part !== ITEM) return false;
      const item = newItem(path + index++, resource);
      readItem(reader, endOf(reader), item, keys);
      onItem(item);
      return true;
    });
    return true;
  });
}

/**
 * @param read takes the field behind the tag, or returns false, and it is passed over.
 * @throws {Error} where a field goes beyond the end.
 */
function eachField(reader: Reader, end: number, read: (field: number) => boolean): void {
  while (reader.pos < end) {
    const field = fieldOf(reader);
    if (!read(field)) reader.skipType(field & 7);
  }
  mustEndAt(reader, end);
}

function fieldOf(reader: Reader): number {
  const field = reader.uint32();
  if (field >>> 3 === 0) throw new Error('a field has the number 0');
  return field;
}

function mustEndAt(reader: Reader, end: number): void {
  if (reader.pos !== end) throw new Error('a field is longer than what it is in');
}

/** Where what comes now ends. @throws {Error} where that is behind the end of the body. */
function endOf(reader: Reader): number {
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new Error('a message is cut off');
  return end;
}

// Spans and their attributes without closures: they are what an export has most of.

function readSpan(reader: Reader, end: number, item: OtlpItem, keys: Keys): void {
  const attributes = newAttributes();
  item.attributes = attributes;
  while (reader.pos < end) {
    const field = fieldOf(reader);
    switch (field) {
      case SPAN.traceId:
        item.traceId = readId(reader, TRACE_ID_BYTES);
        break;
      case SPAN.spanId:
        item.spanId = readId(reader, SPAN_ID_BYTES);
        break;
      case SPAN.parentSpanId:
        item.parentSpanId = readId(reader, SPAN_ID_BYTES);
        break;
      case SPAN.start:
        item.start = readNanos(reader);
        break;
      case SPAN.end:
        item.end = readNanos(reader);
        break;
      case SPAN.attribute:
        readAttribute(reader, keys, attributes);
        break;
      case SPAN.status:
        readStatus(reader, item);
        break;
      default:
        reader.skipType(field & 7);
    }
  }
  mustEndAt(reader, end);
}

function readStatus(reader: Reader, item: OtlpItem): void {
  eachField(reader, endOf(reader), (part) => {
    if (part === STATUS.code) item.failed = reader.int32() === STATUS_ERROR;
    else if (part === STATUS.message) item.statusMessage = reader.string();
    else return false;
    return true;
  });
}

function readRecord(reader: Reader, end: number, item: OtlpItem, keys: Keys): void {
  const attributes = newAttributes();
  item.attributes = attributes;
  let time = '';
  let observed = '';
  while (reader.pos < end) {
    const field = fieldOf(reader);
    switch (field) {
      case RECORD.time:
        time = readNanos(reader);
        break;
      case RECORD.observedTime:
        observed = readNanos(reader);
        break;
      case RECORD.traceId:
        item.traceId = readId(reader, TRACE_ID_BYTES);
        break;
      case RECORD.spanId:
        item.spanId = readId(reader, SPAN_ID_BYTES);
        break;
      case RECORD.attribute:
        readAttribute(reader, keys, attributes);
        break;
      case RECORD.body:
        item.body = readPlain(reader, endOf(reader), MAX_DEPTH);
        break;
      default:
        reader.skipType(field & 7);
    }
  }
  mustEndAt(reader, end);
  item.end = time === '' || time === '0' ? observed : time;
}

function readId(reader: Reader, bytes: number): string | null {
  const end = endOf(reader);
  const from = reader.pos;
  reader.pos = end;
  if (end - from !== bytes) return null;
  return idFromHex((reader.buf as Buffer).toString('hex', from, end), bytes);
}

function readNanos(reader: Reader): string {
  const low = reader.fixed32();
  const high = reader.fixed32();
  return String((BigInt(high) << 32n) | BigInt(low));
}

/** @returns true: it has been read, or passed over. */
function readAttribute(reader: Reader, keys: Keys, attributes: Record<string, AttributeValue>): true {
  const end = endOf(reader);
  let key: string | undefined;
  let from = -1;
  let until = 0;
  while (reader.pos < end) {
    const field = fieldOf(reader);
    if (field === KEY) {
      const keyEnd = endOf(reader);
      key = keys.find(reader.buf, reader.pos, keyEnd);
      reader.pos = keyEnd;
    } else if (field === VALUE) {
      until = endOf(reader);
      from = reader.pos;
      reader.pos = until;
    } else reader.skipType(field & 7);
  }
  mustEndAt(reader, end);
  if (from === -1 || key === undefined) return true;
  reader.pos = from;
  const value = readValue(reader, until);
  reader.pos = end;
  if (value !== undefined) attributes[key] = value;
  return true;
}

function readValue(reader: Reader, end: number): AttributeValue | undefined {
  let value: AttributeValue | undefined;
  while (reader.pos < end) {
    const field = fieldOf(reader);
    switch (field) {
      case ANY.string:
        value = reader.string();
        break;
      case ANY.bool:
        value = reader.bool();
        break;
      case ANY.int:
        value = readInteger(reader);
        break;
      case ANY.double:
        value = reader.double();
        break;
      case ANY.array:
        value = readTexts(reader);
        break;
      default:
        value = UNREADABLE;
        reader.skipType(field & 7);
    }
  }
  mustEndAt(reader, end);
  return value;
}

function readInteger(reader: Reader): number | bigint {
  const { low, high } = reader.int64() as unknown as { low: number; high: number };
  if (high === 0) return low >>> 0;
  const exact = (BigInt(high) << 32n) | BigInt(low >>> 0);
  const number = Number(exact);
  return Number.isSafeInteger(number) ? number : exact;
}

function readTexts(reader: Reader): string[] {
  const texts: string[] = [];
  eachField(reader, endOf(reader), (field) => {
    if (field !== VALUES) return false;
    eachField(reader, endOf(reader), (part) => {
      if (part !== ANY.string) return false;
      texts.push(reader.string());
      return true;
    });
    return true;
  });
  return texts;
}

/** An AnyValue as what JSON has for it. */
function readPlain(reader: Reader, end: number, levels: number): unknown {
  if (levels === 0) throw new Error('values are nested too deeply');
  let value: unknown;
  while (reader.pos < end) {
    const field = fieldOf(reader);
    switch (field) {
      case ANY.string:
        value = reader.string();
        break;
      case ANY.bool:
        value = reader.bool();
        break;
      case ANY.int: {
        const integer = readInteger(reader);
        value = typeof integer === 'bigint' ? new JsonNumber(String(integer)) : integer;
        break;
      }
      case ANY.double:
        value = reader.double();
        break;
      case ANY.array:
        value = readList(reader, levels);
        break;
      case ANY.list:
        value = readMembers(reader, levels);
        break;
      default:
        reader.skipType(field & 7);
    }
  }
  mustEndAt(reader, end);
  return value;
}

function readList(reader: Reader, levels: number): unknown[] {
  const list: unknown[] = [];
  eachField(reader, endOf(reader), (field) => {
    if (field !== VALUES) return false;
    list.push(readPlain(reader, endOf(reader), levels - 1));
    return true;
  });
  return list;
}

function readMembers(reader: Reader, levels: number): Record<string, unknown> {
  const members = Object.create(null) as Record<string, unknown>;
  eachField(reader, endOf(reader), (field) => field === VALUES && readMember(reader, members, levels));
  return members;
}

function readMember(reader: Reader, members: Record<string, unknown>, levels: number): true {
  let key = '';
  let value: unknown;
  eachField(reader, endOf(reader), (field) => {
    if (field === KEY) key = reader.string();
    else if (field === VALUE) value = readPlain(reader, endOf(reader), levels - 1);
    else return false;
    return true;
  });
  members[key] = value;
  return true;
}
