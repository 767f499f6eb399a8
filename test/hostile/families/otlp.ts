import { gzipSync } from 'node:zlib';
import {
  type Attribute,
  aCall,
  anyValue,
  keyValues,
  logsOf,
  toProtobuf,
  tracesOf,
} from '../../support/otlpExport.ts';
import { type Arsenal, damaged, type Family, type HttpRequest, TEXTS } from '../hostileRequest.ts';

const JSON_TYPE = 'application/json';
const PROTOBUF = 'application/x-protobuf';
const TRACES = '/otlp/v1/traces';
const LOGS = '/otlp/v1/logs';

const BOMB = gzipSync(Buffer.alloc(64 * 1_048_576));
/** Thirty million empty spans, if anybody counts. */
const BOMB_OF_SPANS = gzipSync(Buffer.alloc(60 * 1_048_576, Buffer.from([0x12, 0])));
const MANY_SPANS = gzipSync(spans(Buffer.alloc(2_000_000, Buffer.from([0x12, 0]))));
const MANY_GROUPS = gzipSync(Buffer.alloc(2_000_000, Buffer.from([0x0a, 0])));
const MANY_JSON = gzipSync(`{"resourceSpans":[{"scopeSpans":[{"spans":[${'{},'.repeat(300_000)}{}]}]}]}`);

/** Lengths beyond all bounds, varints without end, tags of no field, of groups and of no type. */
const WIRE = [
  'ffffffff0f',
  'ffffffffffffffffff01',
  'ffffffffffffffffffffff',
  '80808080808080808000',
  '00',
  '0700',
  '0a',
  '0b0b0b0b0c0c0c0c',
  '4b'.repeat(200),
  '2affffffff07',
  '7a80808080080a',
].map((bytes) => Buffer.from(bytes, 'hex'));

const KEYS = [
  'gen_ai.usage.input_tokens',
  'gen_ai.usage.output_tokens',
  'gen_ai.usage.cache_read.input_tokens',
  'gen_ai.response.id',
  'gen_ai.response.model',
  'gen_ai.operation.name',
  'gen_ai.agent.name',
  'gen_ai.conversation.id',
  'langfuse.observation.usage_details',
  'ai.operationId',
  'openinference.span.kind',
  'error.type',
  'user.id',
  'service.name',
  '__proto__',
  'constructor',
];
const VALUES: readonly Attribute[] = [
  { intValue: '9223372036854775807' },
  { intValue: '-9223372036854775808' },
  { intValue: -1 },
  { doubleValue: 1.5 },
  { doubleValue: -0 },
  { doubleValue: 1e308 },
  { boolValue: true },
  { bytesValue: '/w==' },
  { arrayValue: { values: [{}, { stringValue: 'a' }, { intValue: 1 }, { arrayValue: {} }] } },
  { kvlistValue: { values: [{ key: '__proto__', value: { stringValue: 'x' } }] } },
  {},
  '{"input":1e400,"output":-5,"total":"x","__proto__":{"input":1}}',
  '{"input":'.repeat(500),
  'invoke_agent',
  'LLM',
  `chatcmpl-${'x'.repeat(500)}`,
  `chatcmpl-${'x'.repeat(24)}\ud83d`,
  `chatcmpl-${'x'.repeat(24)}\0`,
];
/** What stands in JSON where something else should. */
const RAW = [
  '1e400',
  '123456789012345678901234567890',
  '-0',
  'null',
  '[]',
  '{}',
  '"\\u0000"',
  '"\\ud800"',
  '[[[[]]]]',
  '{"intValue":1e400}',
  '{"intValue":"1e3"}',
  '{"intValue":12345678901234567890123}',
  '{"doubleValue":"NaN"}',
  '{"arrayValue":{"values":{}}}',
  '{"kvlistValue":[]}',
  '{"stringValue":{"toString":null}}',
  `${'{"arrayValue":{"values":['.repeat(2_000)}${']}}'.repeat(2_000)}`,
];

/** Exports of OpenTelemetry's that nobody's SDK sends: what is wrong is in the wire, the values, or their number. */
export const otlp: Family = (a) => {
  const attack = a.pick([
    ...(['damaged', 'damaged', 'damaged', 'wire', 'wire', 'values', 'values', 'raw', 'raw'] as const),
    ...(['twice', 'deep', 'deep', 'types', 'gzip', 'routes'] as const),
  ]);
  // Each of these costs the time to find out.
  if (a.turn % 20 === 19) {
    const [body, type] = a.pick([
      ...[BOMB, BOMB_OF_SPANS, MANY_SPANS, MANY_GROUPS].map((bytes) => [bytes, PROTOBUF] as const),
      ...[BOMB, MANY_JSON].map((bytes) => [bytes, JSON_TYPE] as const),
      [gzipSync(toProtobuf(tracesOf(Array.from({ length: 10_001 }, () => callOf(a))))), PROTOBUF] as const,
    ]);
    return send(a, TRACES, type, body, { 'content-encoding': 'gzip' });
  }
  return ATTACKS[attack](a);
};

const ATTACKS = {
  damaged(a) {
    const { path, document } = exportOf(a);
    return a.random() < 0.6
      ? send(a, path, PROTOBUF, damaged(a, toProtobuf(document), WIRE))
      : send(a, path, JSON_TYPE, damaged(a, Buffer.from(JSON.stringify(document)), RAW));
  },
  wire(a) {
    const { path, document } = exportOf(a);
    const inner = Buffer.concat([a.pick(WIRE), Buffer.from([0, 1, 2])]);
    return send(
      a,
      path,
      PROTOBUF,
      a.pick([
        () => Buffer.concat([toProtobuf(document), inner]),
        () => Buffer.concat([inner, toProtobuf(document)]),
        () => spans(field(2, inner)),
        () => spans(field(2, field(9, inner))),
        () =>
          spans(field(2, field(9, Buffer.concat([field(1, Buffer.from(a.pick(KEYS))), field(2, inner)])))),
        // A message that says it is longer, or shorter, than it is, in one that is not.
        () =>
          spans(field(2, field(9, field(1, Buffer.from('user.id')), a.pick([0, 1, 8, 10, 127, 2 ** 31])))),
        () => Buffer.from(JSON.stringify(document)),
        () => Buffer.alloc(a.pick([1, 100, 70_000]), a.pick([0, 0x0a, 0x12, 0x80, 0xff])),
        () => Buffer.from(Array.from({ length: 300 }, () => Math.floor(a.random() * 256))),
      ])(),
    );
  },
  values(a) {
    const document = tracesOf([
      callOf(a),
      callOf(a, {
        [a.pick(KEYS)]: a.random() < 0.5 ? a.pick(VALUES) : a.pick(TEXTS),
        [a.pick(KEYS)]: a.pick(VALUES),
      }),
      {
        ...callOf(a),
        ...a.pick([
          { traceId: '' },
          { spanId: '0000000000000000' },
          { spanId: 'abc' },
          { parentSpanId: 'ff' },
          { endTimeUnixNano: '0' },
          { endTimeUnixNano: '18446744073709551615' },
          { startTimeUnixNano: '18446744073709551615' },
          { status: { code: 2, message: a.pick(TEXTS) } },
          { attributes: [] },
        ]),
      },
    ]);
    return a.random() < 0.5
      ? send(a, TRACES, PROTOBUF, toProtobuf(document))
      : send(a, TRACES, JSON_TYPE, JSON.stringify(document));
  },
  raw(a) {
    const { path, document } = exportOf(a);
    const json = JSON.stringify(document);
    // In the place of any one value, whatever it is.
    const places = [...json.matchAll(/(?<=:)(?:"[^"]*"|\d+|[[{])/g)];
    const { index, 0: old } = a.pick(places);
    const rest = /^[[{]$/.test(old) ? `,"rest":${old}` : '';
    return send(
      a,
      path,
      JSON_TYPE,
      json.slice(0, index) + a.pick(RAW) + rest + json.slice(index + old.length),
    );
  },
  twice(a) {
    const { path, document } = exportOf(a);
    const once = toProtobuf(document);
    const key = field(1, Buffer.from('user.id'));
    const value = field(2, field(1, Buffer.from('somebody')));
    return send(
      a,
      path,
      PROTOBUF,
      a.pick([
        () => Buffer.concat([once, once]),
        () => field(1, Buffer.concat([once.subarray(2), once.subarray(2)])),
        () => spans(field(2, Buffer.concat(Array(500).fill(field(1, Buffer.alloc(16, 1)))))),
        () =>
          spans(
            field(2, Buffer.concat(Array(2_000).fill(field(9, Buffer.concat([value, key, value, key]))))),
          ),
      ])(),
    );
  },
  deep(a) {
    const levels = a.pick([15, 16, 17, 31, 32, 33, 100, 1_000, 20_000]);
    const kind = a.pick([
      { tags: [0x0a, 0x2a], core: '0a0178' }, // an array in an array
      { tags: [0x12, 0x0a, 0x32], core: '0a0178' }, // a map in a map
      { tags: [0x0a], core: '' }, // whatever 1 is
    ]);
    const value = nested(levels * kind.tags.length, kind.tags, Buffer.from(kind.core, 'hex'));
    const attribute = field(9, Buffer.concat([field(1, Buffer.from(a.pick(KEYS))), field(2, value)]));
    if (a.random() < 0.2) return send(a, TRACES, PROTOBUF, value);
    return a.random() < 0.5
      ? send(a, TRACES, PROTOBUF, spans(field(2, attribute)))
      : send(a, LOGS, PROTOBUF, spans(field(2, field(5, value))));
  },
  types(a) {
    const { path, document } = exportOf(a);
    const type = a.pick([
      ...['', 'text/plain', 'application/protobuf', 'application/grpc', 'application/grpc+proto', ';'],
      ...['application/x-protobuf; charset=utf-16', 'APPLICATION/JSON', 'application/json, application/json'],
      'application/x-protobuf;'.repeat(100),
    ]);
    return send(a, path, type, a.pick([toProtobuf(document), JSON.stringify(document), '']));
  },
  gzip(a) {
    const { path, document } = exportOf(a);
    const whole = gzipSync(toProtobuf(document));
    const at = Math.floor(a.random() * whole.length);
    const body = a.pick([
      whole.subarray(0, at),
      damaged(a, whole, [whole.subarray(0, 10)]),
      gzipSync(whole),
      Buffer.concat([whole, whole]),
      toProtobuf(document),
    ]);
    const coding = a.pick(['gzip', 'gzip', 'gzip', 'br', 'gzip, gzip', 'snappy']);
    return send(a, path, PROTOBUF, body, { 'content-encoding': coding });
  },
  routes(a) {
    const { document } = exportOf(a);
    const path = a.pick([
      ...[
        '/otlp/v1/metrics',
        '/otlp/v1/profiles',
        '/otlp/v1/traces/',
        '/otlp/v1/traces/%2e%2e',
        '/otlp',
        '/otlp/',
      ],
      ...['/otlp/v1/__proto__', TRACES, LOGS],
    ]);
    const request = send(a, path, a.pick([PROTOBUF, JSON_TYPE]), toProtobuf(document));
    const { authorization, ...anonymous } = request.headers;
    const headers = a.pick([
      request.headers,
      anonymous,
      { ...anonymous, authorization: 'Bearer tm_nobody' },
      { ...request.headers, 'x-tenant-id': a.victimId },
    ]);
    const method = a.pick(['POST', 'POST', 'GET', 'PUT', 'DELETE', 'OPTIONS']);
    return { ...request, method, headers, body: method === 'POST' ? request.body : undefined };
  },
} satisfies Record<string, Family>;

function send(
  { exporterKey }: Arsenal,
  path: string,
  type: string,
  body: string | Buffer,
  more: Record<string, string> = {},
): HttpRequest {
  const headers = { authorization: `Bearer ${exporterKey}`, 'content-type': type, ...more };
  return { method: 'POST', path, headers, body };
}

/** A valid one, of spans or of log records. */
function exportOf(a: Arsenal): { path: string; document: object } {
  if (a.random() < 0.7) return { path: TRACES, document: tracesOf([callOf(a), callOf(a)]) };
  const { attributes, traceId, spanId, endTimeUnixNano: timeUnixNano } = callOf(a);
  const sent = anyValue(JSON.stringify(a.event()));
  const members = keyValues(a.event() as Record<string, Attribute>);
  return {
    path: LOGS,
    document: logsOf([
      { timeUnixNano, body: sent },
      { timeUnixNano, body: { kvlistValue: { values: members.map(({ key, value }) => ({ key, value })) } } },
      { timeUnixNano, attributes, traceId, spanId },
    ]),
  };
}

function callOf(a: Arsenal, attributes: Record<string, Attribute> = {}) {
  const id = (digits: number) =>
    Array.from({ length: digits }, () => Math.floor(a.random() * 16).toString(16)).join('');
  const response = a.random() < 0.5 ? { 'gen_ai.response.id': `chatcmpl-${id(24)}` } : {};
  return aCall({ ...response, ...attributes }, { traceId: id(32), spanId: id(16) });
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

/** A field with something in it. @param length that it says it has. */
function field(number: number, inside: Buffer, length = inside.length): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(length), inside]);
}

/** An export with these spans, or log records: what is around them has the same numbers. */
function spans(inside: Buffer): Buffer {
  return field(1, field(2, inside));
}

/** Messages in messages, from the inside out. */
function nested(levels: number, tags: readonly number[], core: Buffer): Buffer {
  const heads: Buffer[] = [core];
  let length = core.length;
  for (let level = 0; level < levels; level++) {
    const head = Buffer.concat([Buffer.from([tags[level % tags.length]!]), varint(length)]);
    heads.push(head);
    length += head.length;
  }
  return Buffer.concat(heads.reverse());
}
