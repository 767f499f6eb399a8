import {
  idFromHex,
  type NewAttributes,
  type OtlpItem,
  SPAN_ID_BYTES,
  STATUS_ERROR,
  TRACE_ID_BYTES,
} from './otlpItem.ts';
import { eachField, endOf, fieldOf, mustEndAt, of, type Reader, readText, tag } from './protobufFields.ts';
import type { ProtobufKeys } from './protobufKeys.ts';
import { readAttribute, readPlain } from './protobufValues.ts';

/*
 * Spans and log records of opentelemetry-proto 1.x, of which only these fields are read; without closures, since they are
 * what an export has most of.
 */

/** Levels of values in values, beyond which a body is refused. */
const MAX_DEPTH = 32;

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

/** Reads a span. @throws {Error} where it is none. */
export function readSpan(reader: Reader, end: number, item: OtlpItem, keys: ProtobufKeys): void {
  let attributes: NewAttributes | undefined;
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
        attributes = readAttribute(reader, keys, attributes);
        break;
      case SPAN.status:
        readStatus(reader, item);
        break;
      default:
        reader.skipType(field & 7);
    }
  }
  mustEndAt(reader, end);
  if (attributes !== undefined) item.attributes = attributes;
}

function readStatus(reader: Reader, item: OtlpItem): void {
  eachField(reader, endOf(reader), (part) => {
    if (part === STATUS.code) item.failed = reader.int32() === STATUS_ERROR;
    else if (part === STATUS.message) item.statusMessage = readText(reader);
    else return false;
    return true;
  });
}

/** Reads a log record. @throws {Error} where it is none. */
export function readRecord(reader: Reader, end: number, item: OtlpItem, keys: ProtobufKeys): void {
  let attributes: NewAttributes | undefined;
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
        attributes = readAttribute(reader, keys, attributes);
        break;
      case RECORD.body:
        item.body = readPlain(reader, endOf(reader), MAX_DEPTH);
        break;
      default:
        reader.skipType(field & 7);
    }
  }
  mustEndAt(reader, end);
  if (attributes !== undefined) item.attributes = attributes;
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
