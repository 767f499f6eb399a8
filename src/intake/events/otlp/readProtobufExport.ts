import protobuf from 'protobufjs/minimal.js';
import { TidemarkError } from '../../../model/errors.ts';
import type { Wanted } from './conventions.ts';
import {
  type Attributes,
  LISTS,
  type NewAttributes,
  NO_ATTRIBUTES,
  newItem,
  type OnItem,
  type Signal,
} from './otlpItem.ts';
import { eachField, endOf, of, type Reader } from './protobufFields.ts';
import { readRecord, readSpan } from './protobufItems.ts';
import { ProtobufKeys } from './protobufKeys.ts';
import { readAttribute } from './protobufValues.ts';

/*
 * The messages of opentelemetry-proto 1.x, of which only these fields are read. Fields have the same numbers in those of
 * traces and of logs.
 *
 *   ExportTraceServiceRequest, ExportLogsServiceRequest: 1 resource_spans, resource_logs
 *   ResourceSpans, ResourceLogs: 1 resource, 2 scope_spans, scope_logs
 *   Resource: 1 attributes
 *   ScopeSpans, ScopeLogs: 2 spans, log_records
 */
const GROUP = of(1);
const RESOURCE = of(1);
const SCOPE = of(2);
const ITEM = of(2);
const RESOURCE_ATTRIBUTE = of(1);

/**
 * Reads an export in protobuf, straight from the wire: what nobody asks for, prompts and answers among it, is passed over
 * unread (docs/adr/0042).
 *
 * @param wanted the attributes that are read.
 * @throws {TidemarkError} `invalid_encoding` where it is no such message.
 */
export function readProtobufExport(body: Buffer, signal: Signal, wanted: Wanted, onItem: OnItem): void {
  const reader = protobuf.Reader.create(body);
  try {
    readGroups(reader, signal, ProtobufKeys.of(wanted), onItem);
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    const { message } = error as Error;
    throw new TidemarkError('invalid_encoding', `the body is not an export in protobuf: ${message}`);
  }
}

function readGroups(reader: Reader, signal: Signal, keys: ProtobufKeys, onItem: OnItem): void {
  const [outer] = LISTS[signal];
  let group = 0;
  eachField(reader, reader.len, (field) => {
    if (field !== GROUP) return false;
    const end = endOf(reader);
    // The resource may come behind what is of it.
    let resource: NewAttributes | undefined;
    const from = reader.pos;
    eachField(reader, end, (inside) => {
      if (inside !== RESOURCE) return false;
      eachField(reader, endOf(reader), (part) => {
        if (part !== RESOURCE_ATTRIBUTE) return false;
        resource = readAttribute(reader, keys, resource);
        return true;
      });
      return true;
    });
    reader.pos = from;
    readScopes(reader, end, `/${outer}/${group++}`, {
      signal,
      keys,
      resource: resource ?? NO_ATTRIBUTES,
      onItem,
    });
    return true;
  });
}

interface Group {
  signal: Signal;
  keys: ProtobufKeys;
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
    const list = `${base}/${middle}/${scope++}/${inner}`;
    let position = 0;
    eachField(reader, endOf(reader), (part) => {
      if (part !== ITEM) return false;
      const item = newItem(list, position++, resource);
      readItem(reader, endOf(reader), item, keys);
      onItem(item);
      return true;
    });
    return true;
  });
}
