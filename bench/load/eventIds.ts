import { randomFillSync } from 'node:crypto';

/*
 * Makers of event ids: each fills `target` with UUIDs of 16 bytes, one behind the other (RFC 9562).
 */

export type FillIds = (target: Buffer) => void;

const BYTES = 16;

/** UUIDv4 in no order, as clients send them. */
export function fillRandomIds(target: Buffer): void {
  randomFillSync(target);
  stamp(target, 4);
}

/**
 * UUIDv4 in ascending order without sorting: the id space is cut into as many strata as there are ids, and each id
 * is random within its own.
 */
export function fillSortedIds(target: Buffer): void {
  randomFillSync(target);
  const count = target.length / BYTES;
  const stratum = 4_294_967_296 / count;
  for (let i = 0; i < count; i++) {
    const within = target.readUInt32BE(i * BYTES) / 4_294_967_296;
    target.writeUInt32BE(Math.floor((i + within) * stratum), i * BYTES);
  }
  stamp(target, 4);
}

/** How far back the ids of one batch reach, in ms. */
const SPREAD_MS = 50;

/** UUIDv7 in ascending order: made within the last 50 ms, and counted within a millisecond (RFC 9562, 6.2). */
export function fillTimeOrderedIds(target: Buffer): void {
  randomFillSync(target);
  const count = target.length / BYTES;
  const from = Date.now() - SPREAD_MS;
  let last = 0;
  let counter = 0;
  for (let i = 0; i < count; i++) {
    const ms = from + Math.floor((i * SPREAD_MS) / count);
    counter = ms === last ? counter + 1 : 0;
    last = ms;
    target.writeUIntBE(ms, i * BYTES, 6);
    target.writeUInt16BE(counter, i * BYTES + 6);
  }
  stamp(target, 7);
}

function stamp(target: Buffer, version: number): void {
  for (let at = 0; at < target.length; at += BYTES) {
    target[at + 6] = (target[at + 6]! & 0x0f) | (version << 4);
    target[at + 8] = (target[at + 8]! & 0x3f) | 0x80;
  }
}

const HEX = Buffer.from(
  Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''),
  'latin1',
);

/** Writes the id at `from` of `ids` as text of 36 characters to `at` of `target`. */
export function writeIdText(ids: Buffer, from: number, target: Buffer, at: number): void {
  let to = at;
  for (let i = 0; i < BYTES; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) to++; // the dash is there already
    const digit = ids[from + i]! * 2;
    target[to++] = HEX[digit]!;
    target[to++] = HEX[digit + 1]!;
  }
}

/** A distinct id for a template: found again by its bytes or its text, and replaced. */
export function markerId(i: number): string {
  return `ffffffff-ffff-4fff-bfff-${i.toString(16).padStart(12, '0')}`;
}

/** The 16 bytes of an id. */
export function idBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}
