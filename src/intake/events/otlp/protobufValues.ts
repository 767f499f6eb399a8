import { JsonNumber } from '../../../model/json.ts';
import { type AttributeValue, type NewAttributes, newAttributes, UNREADABLE } from './otlpItem.ts';
import { eachField, endOf, fieldOf, mustEndAt, of, type Reader, readText, tag } from './protobufFields.ts';
import type { ProtobufKeys } from './protobufKeys.ts';

/*
 * Values in opentelemetry-proto 1.x:
 *
 *   KeyValue: 1 key, 2 value
 *   AnyValue: 1 string, 2 bool, 3 int64, 4 double, 5 ArrayValue, 6 KeyValueList, 7 bytes
 *   ArrayValue, KeyValueList: 1 values
 */
const ANY = { string: of(1), bool: tag(2, 0), int: tag(3, 0), double: tag(4, 1), array: of(5), list: of(6) };
const KEY = of(1);
const VALUE = of(2);
const VALUES = of(1);

/**
 * Takes what is wanted of a KeyValue.
 *
 * @param attributes where it goes; undefined: nothing has been taken so far.
 * @returns the same, made where there has come something to take.
 */
export function readAttribute(
  reader: Reader,
  keys: ProtobufKeys,
  attributes: NewAttributes | undefined,
): NewAttributes | undefined {
  const end = endOf(reader);
  let number: number | undefined;
  let from = -1;
  let until = 0;
  while (reader.pos < end) {
    const field = fieldOf(reader);
    if (field === KEY) {
      const keyEnd = endOf(reader);
      number = keys.find(reader.buf, reader.pos, keyEnd);
      reader.pos = keyEnd;
    } else if (field === VALUE) {
      until = endOf(reader);
      from = reader.pos;
      reader.pos = until;
    } else reader.skipType(field & 7);
  }
  mustEndAt(reader, end);
  if (from === -1 || number === undefined) return attributes;
  reader.pos = from;
  const value = readValue(reader, until);
  reader.pos = end;
  if (value === undefined) return attributes;
  const taken = attributes ?? newAttributes(keys.wanted);
  taken[number] = value;
  return taken;
}

function readValue(reader: Reader, end: number): AttributeValue | undefined {
  let value: AttributeValue | undefined;
  while (reader.pos < end) {
    const field = fieldOf(reader);
    switch (field) {
      case ANY.string:
        value = readText(reader);
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

/** Bytes of a varint that are a number of 28 bits: counts of tokens are such. */
const SHORT = 4;

function readInteger(reader: Reader): number | bigint {
  const { buf, pos } = reader;
  let value = 0;
  for (let i = 0; i < SHORT; i++) {
    const byte = buf[pos + i]!;
    value |= (byte & 127) << (7 * i);
    if (byte < 128) {
      reader.pos += i + 1;
      return value;
    }
  }
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
      texts.push(readText(reader));
      return true;
    });
    return true;
  });
  return texts;
}

/** An AnyValue as what JSON has for it. @throws {Error} where it has more levels than that in it. */
export function readPlain(reader: Reader, end: number, levels: number): unknown {
  if (levels === 0) throw new Error('values are nested too deeply');
  let value: unknown;
  while (reader.pos < end) {
    const field = fieldOf(reader);
    switch (field) {
      case ANY.string:
        value = readText(reader);
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
    if (field === KEY) key = readText(reader);
    else if (field === VALUE) value = readPlain(reader, endOf(reader), levels - 1);
    else return false;
    return true;
  });
  members[key] = value;
  return true;
}
