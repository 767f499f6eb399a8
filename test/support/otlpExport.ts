import protobuf from 'protobufjs';

/** An attribute as a test writes it: an integer becomes intValue, and an object is an AnyValue itself. */
export type Attribute = string | number | boolean | string[] | Record<string, unknown>;

export interface TestSpan {
  traceId?: unknown;
  spanId?: unknown;
  parentSpanId?: string;
  name?: string;
  startTimeUnixNano?: unknown;
  endTimeUnixNano?: unknown;
  status?: { code?: number; message?: string };
  attributes?: Record<string, Attribute>;
}

let made = 0;

/** A span of 1.5 s that has just ended, of a trace of its own. */
export function aSpan(attributes: Record<string, Attribute>, more: TestSpan = {}) {
  const end = BigInt(Date.now()) * 1_000_000n;
  const id = (++made).toString(16);
  return {
    traceId: id.padStart(32, 'a'),
    spanId: id.padStart(16, 'b'),
    name: 'chat',
    kind: 3,
    startTimeUnixNano: String(end - 1_500_000_000n),
    endTimeUnixNano: String(end),
    ...more,
    attributes: keyValues(attributes),
  };
}

/** A call as OpenTelemetry's conventions have it, of 1000 and 300 tokens. */
export function aCall(attributes: Record<string, Attribute> = {}, more: TestSpan = {}) {
  return aSpan(
    {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-4o',
      'gen_ai.response.model': 'gpt-4o-2024-08-06',
      'gen_ai.usage.input_tokens': 1000,
      'gen_ai.usage.output_tokens': 300,
      'user.id': 'acme',
      ...attributes,
    },
    more,
  );
}

/** An export of traces, as JSON has it. */
export function tracesOf(spans: object[], resource: Record<string, Attribute> = { 'service.name': 'shop' }) {
  return {
    resourceSpans: [
      { resource: { attributes: keyValues(resource) }, scopeSpans: [{ scope: { name: 'test' }, spans }] },
    ],
  };
}

/** An export of logs, as JSON has it. */
export function logsOf(
  logRecords: object[],
  resource: Record<string, Attribute> = { 'service.name': 'shop' },
) {
  return {
    resourceLogs: [
      { resource: { attributes: keyValues(resource) }, scopeLogs: [{ scope: { name: 'test' }, logRecords }] },
    ],
  };
}

export function keyValues(attributes: Record<string, Attribute>) {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

export function anyValue(value: Attribute): Record<string, unknown> {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number')
    return Number.isInteger(value) ? { intValue: value } : { doubleValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  return value;
}

const field = (type: string, id: number, rule?: 'repeated') => ({ type, id, ...(rule && { rule }) });

/** The messages of opentelemetry-proto that the tests send, by reflection: another reading of them than the service's. */
const root = protobuf.Root.fromJSON({
  nested: {
    AnyValue: {
      oneofs: {
        value: {
          oneof: [
            'stringValue',
            'boolValue',
            'intValue',
            'doubleValue',
            'arrayValue',
            'kvlistValue',
            'bytesValue',
          ],
        },
      },
      fields: {
        stringValue: field('string', 1),
        boolValue: field('bool', 2),
        intValue: field('int64', 3),
        doubleValue: field('double', 4),
        arrayValue: field('ArrayValue', 5),
        kvlistValue: field('KeyValueList', 6),
        bytesValue: field('bytes', 7),
      },
    },
    ArrayValue: { fields: { values: field('AnyValue', 1, 'repeated') } },
    KeyValueList: { fields: { values: field('KeyValue', 1, 'repeated') } },
    KeyValue: { fields: { key: field('string', 1), value: field('AnyValue', 2) } },
    Scope: { fields: { name: field('string', 1), version: field('string', 2) } },
    Resource: { fields: { attributes: field('KeyValue', 1, 'repeated') } },
    Status: { fields: { message: field('string', 2), code: field('int32', 3) } },
    Span: {
      fields: {
        traceId: field('bytes', 1),
        spanId: field('bytes', 2),
        parentSpanId: field('bytes', 4),
        name: field('string', 5),
        kind: field('int32', 6),
        startTimeUnixNano: field('fixed64', 7),
        endTimeUnixNano: field('fixed64', 8),
        attributes: field('KeyValue', 9, 'repeated'),
        status: field('Status', 15),
      },
    },
    ScopeSpans: { fields: { scope: field('Scope', 1), spans: field('Span', 2, 'repeated') } },
    ResourceSpans: {
      fields: { resource: field('Resource', 1), scopeSpans: field('ScopeSpans', 2, 'repeated') },
    },
    Traces: { fields: { resourceSpans: field('ResourceSpans', 1, 'repeated') } },
    LogRecord: {
      fields: {
        timeUnixNano: field('fixed64', 1),
        severityNumber: field('int32', 2),
        body: field('AnyValue', 5),
        attributes: field('KeyValue', 6, 'repeated'),
        traceId: field('bytes', 9),
        spanId: field('bytes', 10),
        observedTimeUnixNano: field('fixed64', 11),
        eventName: field('string', 12),
      },
    },
    ScopeLogs: { fields: { scope: field('Scope', 1), logRecords: field('LogRecord', 2, 'repeated') } },
    ResourceLogs: {
      fields: { resource: field('Resource', 1), scopeLogs: field('ScopeLogs', 2, 'repeated') },
    },
    Logs: { fields: { resourceLogs: field('ResourceLogs', 1, 'repeated') } },
    Partial: { fields: { rejected: field('int64', 1), errorMessage: field('string', 2) } },
    Answer: { fields: { partialSuccess: field('Partial', 1) } },
    RpcStatus: { fields: { code: field('int32', 1), message: field('string', 2) } },
  },
});

/** The same export in protobuf: ids in JSON are hex, and bytes there. */
export function toProtobuf(document: object): Buffer {
  const type = root.lookupType('resourceLogs' in document ? 'Logs' : 'Traces');
  const asBytes = JSON.parse(JSON.stringify(document), (key, value) =>
    /^(?:trace|span|parentSpan)Id$/.test(key) ? Buffer.from(String(value), 'hex').toString('base64') : value,
  );
  return Buffer.from(type.encode(type.fromObject(asBytes)).finish());
}

/** What an export is answered with, or what it is refused with. */
export function readAnswer(bytes: Uint8Array, name: 'Answer' | 'RpcStatus') {
  const type = root.lookupType(name);
  return type.toObject(type.decode(bytes), { longs: String });
}
