import type protobuf from 'protobufjs/minimal.js';

/*
 * Fields of messages in protobuf, read one after the other (protobuf.dev, "Encoding").
 */

export type Reader = protobuf.Reader;

/** What carries a length before it: strings, bytes, messages. */
const LENGTH = 2;

/** Number of a field, and how it is on the wire. */
export function tag(field: number, wire: number): number {
  return (field << 3) | wire;
}

/** The tag of a string, of bytes, or of a message. */
export function of(field: number): number {
  return tag(field, LENGTH);
}

/**
 * Reads what comes until the end.
 *
 * @param read takes the field behind the tag, or returns false, and it is passed over.
 * @throws {Error} where a field goes beyond the end.
 */
export function eachField(reader: Reader, end: number, read: (field: number) => boolean): void {
  while (reader.pos < end) {
    const field = fieldOf(reader);
    if (!read(field)) reader.skipType(field & 7);
  }
  mustEndAt(reader, end);
}

/** The tag of the next field. @throws {Error} where it is none. */
export function fieldOf(reader: Reader): number {
  const field = reader.uint32();
  if (field >>> 3 === 0) throw new Error('a field has the number 0');
  return field;
}

/** @throws {Error} where what has been read did not end there. */
export function mustEndAt(reader: Reader, end: number): void {
  if (reader.pos !== end) throw new Error('a field is longer than what it is in');
}

/** Where what comes now ends. @throws {Error} where that is behind the end of the body. */
export function endOf(reader: Reader): number {
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new Error('a message is cut off');
  return end;
}

/**
 * A string, with U+FFFD in the place of what is no UTF-8.
 *
 * @throws {Error} where it ends behind the end of the body, which protobufjs overlooks.
 */
export function readText(reader: Reader): string {
  const end = endOf(reader);
  const from = reader.pos;
  reader.pos = end;
  return (reader.buf as Buffer).toString('utf8', from, end);
}
