import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDecimal } from '../../model/decimal.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { CopyEncoder, EVENT_COLUMNS, type EventColumn } from './copyEncoding.ts';

/*
 * A reader of the format, written from the PostgreSQL documentation and not from the encoder. Whether a real server
 * agrees is for the integration tests.
 */

interface Copy {
  frames: number[];
  rows: (Buffer | null)[][];
}

/** Takes apart what goes over the wire: CopyData frames and CopyDone, for each COPY. */
function readCopies(wire: Buffer): Copy[] {
  const copies: Copy[] = [];
  let payload: Buffer[] = [];
  for (let at = 0; at < wire.length; ) {
    const type = String.fromCharCode(wire[at]!);
    const length = wire.readInt32BE(at + 1);
    const body = wire.subarray(at + 5, at + 1 + length);
    expect(at + 1 + length).toBeLessThanOrEqual(wire.length);
    if (type === 'd') payload.push(body);
    else {
      expect([type, length]).toEqual(['c', 4]);
      copies.push({ frames: payload.map((part) => part.length), rows: readRows(Buffer.concat(payload)) });
      payload = [];
    }
    at += 1 + length;
  }
  expect(payload).toEqual([]);
  return copies;
}

function readRows(data: Buffer): (Buffer | null)[][] {
  expect(data.subarray(0, 11).toString('latin1')).toBe('PGCOPY\n\xff\r\n\0');
  expect(data.readInt32BE(11)).toBe(0); // flags
  let at = 19 + data.readInt32BE(15); // the header's extension
  const rows: (Buffer | null)[][] = [];
  for (;;) {
    const fields = data.readInt16BE(at);
    at += 2;
    if (fields === -1) break;
    const row: (Buffer | null)[] = [];
    for (let i = 0; i < fields; i++) {
      const length = data.readInt32BE(at);
      at += 4;
      row.push(length === -1 ? null : data.subarray(at, at + length));
      at += Math.max(0, length);
    }
    rows.push(row);
  }
  expect(at).toBe(data.length);
  return rows;
}

const text = (field: Buffer | null) => field?.toString('utf8') ?? null;
const int8 = (field: Buffer | null) => {
  if (field) expect(field.length).toBe(8);
  return field && Number(field.readBigInt64BE());
};
const float8 = (field: Buffer | null) => field?.readDoubleBE() ?? null;
const uuid = (field: Buffer | null) =>
  field?.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
const jsonb = (field: Buffer | null) => {
  if (field) expect(field[0]).toBe(1);
  return field?.subarray(1).toString('utf8') ?? null;
};

function numeric(field: Buffer | null): string | null {
  if (!field) return null;
  const [count, weight, sign, scale] = [0, 2, 4, 6].map((at) => field.readInt16BE(at)) as [
    number,
    number,
    number,
    number,
  ];
  expect(field.length).toBe(8 + count * 2);
  let value = 0n;
  for (let i = 0; i < count; i++) {
    const digit = field.readInt16BE(8 + i * 2);
    expect(digit).toBeGreaterThanOrEqual(0);
    expect(digit).toBeLessThan(10_000);
    value = value * 10_000n + BigInt(digit);
  }
  // The value is in units of 10000^(weight - count + 1); as many decimals as the scale says.
  const exponent = (weight - count + 1) * 4 + scale;
  if (exponent >= 0) value *= 10n ** BigInt(exponent);
  else {
    expect(value % 10n ** BigInt(-exponent)).toBe(0n);
    value /= 10n ** BigInt(-exponent);
  }
  const digits = String(value).padStart(scale + 1, '0');
  const plain = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  return (sign === 0x4000 ? '-' : '') + plain;
}

function readEvent(row: (Buffer | null)[], columns: readonly EventColumn[] = EVENT_COLUMNS): UsageEvent {
  const field = (name: EventColumn) => row[columns.indexOf(name)] ?? null;
  return {
    tsMicros: int8(field('ts'))! + Date.UTC(2000, 0, 1) * 1_000,
    tokens: int8(field('tokens')),
    inputTokens: int8(field('input_tokens')),
    outputTokens: int8(field('output_tokens')),
    latencyMs: float8(field('latency_ms')),
    eventId: uuid(field('event_id'))!,
    tenantId: text(field('tenant_id'))!,
    customerId: text(field('customer_id'))!,
    eventType: text(field('event_type'))!,
    externalId: text(field('external_id')),
    sourceId: text(field('source_id')),
    endpoint: text(field('endpoint')),
    model: text(field('model')),
    reference: text(field('reference')),
    unit: text(field('unit')),
    value: numeric(field('value')),
    metadata: jsonb(field('metadata')),
    document: null,
  };
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }),
  fc.string({ minLength: 1, maxLength: 300 }),
  fc.constantFrom('x'.repeat(32), 'x'.repeat(33), `${'x'.repeat(31)}é`, '客'.repeat(256), '\u{1f600}'),
);
const decimal = fc
  .tuple(fc.constantFrom('', '-'), fc.stringMatching(/^\d{1,20}$/), fc.stringMatching(/^\d{0,18}$/))
  .map(([sign, whole, fraction]) => parseDecimal(`${sign}${whole}.${fraction}`)!);
const count = fc.option(fc.oneof(fc.integer({ min: 0, max: 20_000_000_000 }), fc.constant(2 ** 32)));
const event: fc.Arbitrary<UsageEvent> = fc.record({
  tsMicros: fc.integer({ min: Date.UTC(1970, 0, 1) * 1_000, max: Date.UTC(2200, 0, 1) * 1_000 }),
  tokens: count,
  inputTokens: count,
  outputTokens: count,
  latencyMs: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true })),
  eventId: fc.uuid(),
  tenantId: anyText,
  customerId: anyText,
  eventType: anyText,
  externalId: fc.option(anyText),
  sourceId: fc.option(anyText),
  endpoint: fc.option(anyText),
  model: fc.option(anyText),
  reference: fc.option(anyText),
  unit: fc.option(anyText),
  value: fc.option(decimal),
  metadata: fc.option(fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify({ value }))),
  document: fc.constant(null),
});

function encode(encoder: CopyEncoder, events: UsageEvent[]): void {
  encoder.begin();
  for (const one of events) encoder.appendEvent(one);
  encoder.end();
}

/** A row of as many keys as `rows` has numbers, each word of which is found by its place; null for none. */
function encodeKeys(encoder: CopyEncoder, rows: (number[] | null)[][]): void {
  encoder.begin();
  for (const keys of rows) {
    const words = Uint32Array.from(keys.flatMap((key) => key ?? [1, 2, 3, 4]));
    encoder.appendKeys(
      Int32Array.from(keys, (key, i) => (key ? i * 4 : -1)),
      words,
    );
  }
  encoder.end();
}

const OPTIONAL = [
  'tokens',
  'inputTokens',
  'outputTokens',
  'latencyMs',
  'externalId',
  'sourceId',
  'endpoint',
  'model',
  'reference',
  'unit',
  'value',
  'metadata',
] as const;
const without = (kept: readonly string[]) => OPTIONAL.filter((name) => !kept.includes(name));

const plain = (events: UsageEvent[]) => events.map((one) => ({ ...one }));

describe('CopyEncoder', () => {
  it('writes every event as PostgreSQL reads it, however small its buffer begins', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 6 }), fc.integer({ min: 1, max: 4_096 }), (events, bytes) => {
        const encoder = new CopyEncoder(bytes);
        encode(encoder, events);
        const [copy, ...rest] = readCopies(encoder.take());
        expect(rest).toEqual([]);
        expect(copy!.rows.map((row) => readEvent(row))).toEqual(plain(events));
      }),
      { numRuns: 500 },
    );
  });

  it('leaves out the columns that are null in every event of a COPY, and no other', () => {
    const sparse = fc
      .tuple(event, fc.subarray([...OPTIONAL]))
      .map(([full, kept]) => ({ ...full, ...Object.fromEntries(without(kept).map((name) => [name, null])) }));
    fc.assert(
      fc.property(fc.array(sparse, { minLength: 1, maxLength: 3 }), (events) => {
        const encoder = new CopyEncoder(64);
        const columns = encoder.beginEvents(events);
        for (const one of events) encoder.appendEvent(one);
        encoder.end();
        const used = OPTIONAL.filter((name) => events.some((one) => one[name] !== null));
        expect(columns).toHaveLength(EVENT_COLUMNS.length - OPTIONAL.length + used.length);
        const { rows } = readCopies(encoder.take())[0]!;
        for (const row of rows) expect(row).toHaveLength(columns.length);
        expect(rows.map((row) => readEvent(row, columns))).toEqual(plain(events));
        encoder.reset();
        encode(encoder, events); // the next COPY has them all again
        expect(readCopies(encoder.take())[0]!.rows.map((row) => readEvent(row))).toEqual(plain(events));
      }),
      { numRuns: 300 },
    );
  });

  const word = fc.integer({ min: 0, max: 0xffff_ffff });
  const key = fc.option(fc.array(word, { minLength: 4, maxLength: 4 }));
  const rows = fc.array(fc.array(key, { minLength: 7, maxLength: 7 }), { maxLength: 4 });
  const words = (field: Buffer | null) => field && [0, 4, 8, 12].map((at) => field.readUInt32BE(at));

  it('puts one COPY behind another, and starts over when told to', () => {
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 4 }),
        fc.array(event, { maxLength: 4 }),
        rows,
        (a, b, keys) => {
          const encoder = new CopyEncoder(64);
          for (const events of [a, b]) {
            encoder.reset();
            encodeKeys(encoder, keys);
            encode(encoder, events);
            expect(encoder.take().length).toBe(encoder.length);
            const [claimed, copied] = readCopies(encoder.take());
            expect(claimed!.rows.map((row) => row.map(words))).toEqual(keys);
            expect(copied!.rows.map((row) => readEvent(row))).toEqual(plain(events));
          }
        },
      ),
    );
  });

  it('says where each COPY lies', () => {
    const encoder = new CopyEncoder();
    encoder.begin();
    const first = encoder.end();
    encoder.begin();
    const second = encoder.end();
    expect(first.from).toBe(0);
    expect(second.from).toBe(first.to);
    expect(second.to).toBe(encoder.length);
    expect(readCopies(encoder.take().subarray(first.from, first.to))).toEqual([{ frames: [21], rows: [] }]);
  });

  it('cuts a long COPY into frames that end after a row', () => {
    const [sample] = fc.sample(event, { numRuns: 1, seed: 7 });
    const events = Array.from({ length: 2_000 }, (_, i) => ({ ...sample!, tokens: i }));
    const encoder = new CopyEncoder();
    encode(encoder, events);
    const [copy] = readCopies(encoder.take());
    expect(copy!.rows.map((row) => int8(row[EVENT_COLUMNS.indexOf('tokens')]!))).toEqual(
      events.map(({ tokens }) => tokens),
    );
    expect(copy!.frames.length).toBeGreaterThan(2);
    const rowBytes = 10_000;
    for (const frame of copy!.frames) expect(frame).toBeLessThan(65_536 + rowBytes);
  });

  it('leaves a buffer that a socket may still hold alone after discard', () => {
    const [first, second] = fc.sample(event, { numRuns: 2, seed: 8 });
    const encoder = new CopyEncoder();
    encode(encoder, [first!]);
    const held = encoder.take();
    const before = Buffer.from(held);
    encoder.discard();
    expect(encoder.length).toBe(0);
    encode(encoder, [second!, second!]);
    expect(held.equals(before)).toBe(true);
  });

  it('writes numbers at the edges of their formats', () => {
    const [sample] = fc.sample(event, { numRuns: 1, seed: 9 });
    for (const value of [
      '0',
      '1',
      '-1',
      '10000',
      '9999',
      '0.0001',
      '0.00001',
      '0.000000000000000001',
      '-99999999999999999999.999999999999999999',
    ]) {
      const encoder = new CopyEncoder();
      encode(encoder, [{ ...sample!, value, tsMicros: -1, tokens: Number.MAX_SAFE_INTEGER }]);
      const [row] = readCopies(encoder.take())[0]!.rows.map((one) => readEvent(one));
      expect(row).toMatchObject({ value, tsMicros: -1, tokens: Number.MAX_SAFE_INTEGER });
    }
  });
});
