import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toProtobuf } from '../../../../test/support/otlpExport.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { CUSTOMER_ATTRIBUTES, wantedAttributes } from './conventions.ts';
import type { OtlpItem, Signal } from './otlpItem.ts';
import { parseExport } from './parseExport.ts';
import { readJsonExport } from './readJsonExport.ts';
import { readProtobufExport } from './readProtobufExport.ts';

/*
 * Any export reads the same in both encodings, and no bytes do worse than being refused.
 */

const WANTED = wantedAttributes(CUSTOMER_ATTRIBUTES);

function itemsOf(body: Buffer, signal: Signal, encoding: 'json' | 'protobuf'): OtlpItem[] {
  const items: OtlpItem[] = [];
  const read = encoding === 'json' ? readJsonExport : readProtobufExport;
  read(body, signal, WANTED, (item) => items.push(item));
  return items;
}

// What a double holds is compared elsewhere with what it does not (parseExport.test.ts), and JSON has no -0.
const double = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const { text, value } = fc.letrec<{ text: string; value: object }>((tie) => ({
  text: fc.string({ unit: 'binary', maxLength: 40 }),
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.record({ stringValue: tie('text') }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({ intValue: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String) }),
    fc.record({ intValue: fc.integer() }),
    fc.record({ doubleValue: double }),
    fc.record({ bytesValue: fc.constantFrom('', 'AAEC', '/w==') }),
    fc.constant({}),
    fc.record({ arrayValue: fc.record({ values: fc.array(tie('value'), { maxLength: 4 }) }) }),
    fc.record({
      kvlistValue: fc.record({
        values: fc.array(fc.record({ key: tie('text'), value: tie('value') }), { maxLength: 4 }),
      }),
    }),
  ),
}));
const attributes = fc.array(
  fc.record({
    key: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...WANTED.numbers.keys()) }, text),
    value,
  }),
  { maxLength: 12 },
);
const hex = (bytes: number) =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((array) => Buffer.from(array).toString('hex'))
    .chain((id) => fc.constantFrom(id, id, id, '0'.repeat(bytes * 2), '', 'abcd'));
const nanos = fc.bigInt(0n, 2n ** 64n - 1n).map(String);
const some = <Fields extends object>(fields: { [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> }) =>
  fc.record(fields, { requiredKeys: [] });

const span = some({
  traceId: hex(16),
  spanId: hex(8),
  parentSpanId: hex(8),
  name: text,
  startTimeUnixNano: nanos,
  endTimeUnixNano: nanos,
  attributes,
  status: some({ code: fc.nat(2), message: text }),
});
const record = some({
  timeUnixNano: nanos,
  observedTimeUnixNano: nanos,
  body: value,
  attributes,
  traceId: hex(16),
  spanId: hex(8),
});
const few = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { maxLength: 3 });
const resource = some({ attributes });
const documents: Record<Signal, fc.Arbitrary<object>> = {
  traces: some({ resourceSpans: few(some({ resource, scopeSpans: few(some({ spans: few(span) })) })) }),
  // The name tells the encoder which message it is.
  logs: fc.record({
    resourceLogs: few(some({ resource, scopeLogs: few(some({ logRecords: few(record) })) })),
  }),
};
const anExport = fc
  .constantFrom<Signal>('traces', 'logs')
  .chain((signal) => documents[signal].map((document) => ({ signal, document })));

/** Somewhere in a body: bytes taken out, put in, said twice, or others. */
const damage = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  taken: fc.nat(8),
  put: fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    // Lengths, groups, and tags that mean something to whoever reads the wire.
    fc.constantFrom(
      ...[
        'ffffffff0f',
        'ffffffffffffffffff01',
        'ffffffffffffffffffffff',
        '80',
        '808080808000',
        '0b0b0b0c0c0c',
      ].map((bytes) => Uint8Array.from(Buffer.from(bytes, 'hex'))),
    ),
  ),
  twice: fc.boolean(),
});

function damaged(
  body: Buffer,
  { at, taken, put, twice }: typeof damage extends fc.Arbitrary<infer T> ? T : never,
) {
  const from = Math.floor(at * body.length);
  const tail = body.subarray(twice ? from : Math.min(from + taken, body.length));
  return Buffer.concat([body.subarray(0, twice ? from + taken : from), put, tail]);
}

describe('an export', () => {
  it('says the same in both encodings', () => {
    fc.assert(
      fc.property(anExport, ({ signal, document }) => {
        const wire = itemsOf(toProtobuf(document), signal, 'protobuf');
        expect(wire).toEqual(itemsOf(Buffer.from(JSON.stringify(document)), signal, 'json'));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['protobuf', ['invalid_encoding']],
    ['json', ['invalid_encoding', 'invalid_json', 'invalid_request']],
  ] as const)(
    'in %s that is damaged is read or refused, with no more items than it has bytes',
    (encoding, codes) => {
      fc.assert(
        fc.property(
          anExport,
          fc.array(damage, { minLength: 1, maxLength: 4 }),
          ({ signal, document }, damages) => {
            const whole = encoding === 'json' ? Buffer.from(JSON.stringify(document)) : toProtobuf(document);
            const body = damages.reduce(damaged, whole);
            const customer = { attributes: CUSTOMER_ATTRIBUTES, otherwise: 'house' };
            const rules = {
              tenantId: 't',
              earliestMicros: Number.NaN,
              latestMicros: Number.NaN,
              receivedMicros: Date.now() * 1_000,
            };
            try {
              const parsed = parseExport(body, { signal, encoding }, rules, customer, 1_000);
              const { total, ignored, repeated, events, faults } = parsed;
              expect(total + ignored + repeated).toBeLessThanOrEqual(body.length);
              expect(events.length + new Set(faults.map(({ index }) => index)).size).toBe(total);
            } catch (error) {
              expect(error).toBeInstanceOf(TidemarkError);
              expect(codes).toContain((error as TidemarkError).code);
            }
          },
        ),
        { numRuns: 500 },
      );
    },
  );

  it('of nothing but empty spans, groups or attributes is read item by item', () => {
    const spans = Array.from({ length: 100_000 }, () => ({}));
    const body = toProtobuf({ resourceSpans: [{ scopeSpans: [{ spans }] }] });
    const items = itemsOf(body, 'traces', 'protobuf');
    expect(items).toHaveLength(100_000);
    expect(items.at(-1)).toMatchObject({ list: '/resourceSpans/0/scopeSpans/0/spans', position: 99_999 });
    expect(new Set(items.map((item) => item.attributes)).size).toBe(1);
    const groups = toProtobuf({ resourceSpans: spans });
    expect(groups).toHaveLength(200_000);
    expect(itemsOf(groups, 'traces', 'protobuf')).toEqual([]);
  });

  it('with a text that is longer than the body is refused, though all around it ends with the body', () => {
    // A status whose message says 9 bytes and has 3.
    const body = Buffer.from('0a0b12091207' + '7a05' + '1209' + '616263', 'hex');
    expect(() => itemsOf(body, 'traces', 'protobuf')).toThrow('a message is cut off');
    body[9] = 3;
    expect(itemsOf(body, 'traces', 'protobuf')).toMatchObject([{ statusMessage: 'abc' }]);
  });
});
