import { gzipSync } from 'node:zlib';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { describeEngine } from '../../support/database.ts';
import { type ListeningService, startListeningService } from '../../support/listening.ts';
import {
  aCall,
  anyValue,
  aSpan,
  logsOf,
  readAnswer,
  toProtobuf,
  tracesOf,
} from '../../support/otlpExport.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const PROTOBUF = { 'content-type': 'application/x-protobuf' };

let made = 0;

/** Spans as an SDK has them: calls of a customer, each with a response id of its own. */
function spansOf(customer: string, count: number): ReadableSpan[] {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'shop' }),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  for (let i = 0; i < count; i++) {
    const span = provider.getTracer('test').startSpan('chat gpt-4o');
    span.setAttributes({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.response.id': `chatcmpl-${String(++made).padStart(24, '0')}`,
      'gen_ai.response.model': 'gpt-4o',
      'gen_ai.usage.input_tokens': 10,
      'gen_ai.usage.output_tokens': 3,
      'user.id': customer,
    });
    span.end();
  }
  return exporter.getFinishedSpans();
}

describeEngine('OpenTelemetry', () => {
  let t: ListeningService;
  beforeAll(async () => {
    t = await startListeningService({ MAX_EVENTS_PER_REQUEST: '50', MAX_BODY_BYTES: '262144' });
  });
  afterAll(() => t.stop());

  const headers = () => ({ authorization: `Bearer ${t.key}` });
  const usageOf = async (customer: string, key = t.key) => {
    const { body } = await t.call('GET', `/v1/usage?granularity=1d&customerId=${customer}`, { key });
    return body.data.map(({ calls, tokens }: { calls: number; tokens: number }) => ({ calls, tokens }));
  };
  const send = (path: string, body: unknown, more: Record<string, string>, key: string | null = t.key) =>
    t.call('POST', path, { key, body, headers: more });
  /** An answer to protobuf, as bytes. */
  const sendWire = async (body: Buffer, key = t.key) => {
    const answer = await fetch(`${t.server.address}/otlp/v1/traces`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, ...PROTOBUF },
      body: Uint8Array.from(body),
    });
    return {
      status: answer.status,
      type: answer.headers.get('content-type'),
      retryAfter: answer.headers.get('retry-after'),
      bytes: new Uint8Array(await answer.arrayBuffer()),
    };
  };

  it.each([
    ['JSON', JsonExporter, 'none'],
    ['JSON in gzip', JsonExporter, 'gzip'],
    ['protobuf', ProtoExporter, 'none'],
    ['protobuf in gzip', ProtoExporter, 'gzip'],
  ] as const)('is taken from the exporter of its SDK: %s', async (name, Exporter, compression) => {
    const customer = `exporter-${name.replaceAll(' ', '-')}`;
    const exporter = new Exporter({
      url: `${t.server.address}/otlp/v1/traces`,
      headers: headers(),
      compression: compression as never,
      timeoutMillis: 60_000, // a busy machine is no fault
    });
    const spans = spansOf(customer, 20);
    for (let repeated = 0; repeated < 2; repeated++) {
      const result = await new Promise<ExportResult>((resolve) => exporter.export(spans, resolve));
      expect(result).toEqual({ code: ExportResultCode.SUCCESS });
    }
    await exporter.shutdown();
    expect(await usageOf(customer)).toEqual([{ calls: 20, tokens: 260 }]);
    const { body } = await t.call('GET', `/v1/events?customerId=${customer}`, { key: t.key });
    const id = spans[19]!.attributes['gen_ai.response.id'];
    expect(body.data.find(({ eventId }: { eventId: string }) => eventId === id)).toMatchObject({
      eventType: 'gen_ai.chat',
      sourceId: 'shop',
      metadata: {
        model: 'gpt-4o',
        provider: 'openai',
        inputTokens: 10,
        outputTokens: 3,
        usageStatus: 'counted',
        traceId: spans[19]!.spanContext().traceId,
      },
    });
  });

  it('is answered in the type of the request, with what is refused and why', async () => {
    const document = tracesOf([
      aCall({ 'user.id': 'partial' }),
      aCall({ 'user.id': 'partial', 'gen_ai.usage.input_tokens': -5 }),
      aCall({ 'user.id': '' }),
      aSpan({ 'http.route': '/' }),
    ]);
    const message =
      '2 of 3 cannot be accepted: /resourceSpans/0/scopeSpans/0/spans/1/attributes/gen_ai.usage.input_tokens must be a whole number ' +
      'from 0 to 10000000000 (out_of_range); /resourceSpans/0/scopeSpans/0/spans/2/attributes has no customer; set one of ' +
      'tidemark.customer.id, user.id, enduser.id, ai.telemetry.metadata.userId, ai.telemetry.metadata.customerId, langfuse.user.id, ' +
      'traceloop.association.properties.user_id (customer_missing)';
    const json = await send('/otlp/v1/traces', document, JSON_TYPE);
    expect([json.status, json.headers.get('content-type'), json.body]).toEqual([
      200,
      'application/json',
      { partialSuccess: { rejectedSpans: '2', errorMessage: message } },
    ]);
    const wire = await sendWire(toProtobuf(document));
    expect([wire.status, wire.type, readAnswer(wire.bytes, 'Answer')]).toEqual([
      200,
      'application/x-protobuf',
      { partialSuccess: { rejected: '2', errorMessage: message } },
    ]);
    expect(await usageOf('partial')).toEqual([{ calls: 1, tokens: 1300 }]);
    const whole = await sendWire(toProtobuf(tracesOf([aCall({ 'user.id': 'partial' })])));
    expect([whole.status, whole.bytes.length]).toEqual([200, 0]);
    expect((await send('/otlp/v1/traces', tracesOf([aSpan({})]), JSON_TYPE)).body).toEqual({});
    expect(
      (await send('/otlp/v1/traces', tracesOf([aCall({ 'user.id': '' })]), JSON_TYPE)).body,
    ).toMatchObject({
      partialSuccess: { rejectedSpans: '1' },
    });
  });

  it('says in the words of the protocol what it cannot read, or from whom it takes nothing', async () => {
    const { key: reader } = await createKey(t.sql, { tenantId: t.tenantId, scopes: ['read'] });
    const few = tracesOf([aCall()]);
    const many = tracesOf(Array.from({ length: 51 }, () => aCall()));
    const cases: [Promise<{ status: number; body: unknown }>, number, number, RegExp][] = [
      [send('/otlp/v1/traces', '{"resourceSpans":', JSON_TYPE), 400, 3, /^invalid_json: /],
      [send('/otlp/v1/traces', '{"resourceSpans":5}', JSON_TYPE), 400, 3, /resourceSpans must be an array/],
      [send('/otlp/v1/traces', few, { 'content-type': 'text/plain' }), 415, 3, /application\/x-protobuf/],
      [send('/otlp/v1/traces', few, { ...JSON_TYPE, 'content-encoding': 'br' }), 415, 3, /gzip/],
      [
        send('/otlp/v1/traces', Buffer.from('x'), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
        400,
        3,
        /gzip/,
      ],
      [send('/otlp/v1/traces', many, JSON_TYPE), 413, 8, /^too_many_events: .*50/],
      [send('/otlp/v1/traces', 'x'.repeat(262_145), JSON_TYPE), 413, 8, /^body_too_large: /],
      [
        send('/otlp/v1/traces', gzipSync('x'.repeat(262_145)), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
        413,
        8,
        /^body_too_large: /,
      ],
      [send('/otlp/v1/traces', few, JSON_TYPE, null), 401, 16, /^unauthenticated: /],
      [send('/otlp/v1/traces', few, JSON_TYPE, reader), 403, 7, /^scope_missing: /],
      [send('/otlp/v1/metrics', {}, JSON_TYPE), 404, 5, /^not_found: /],
      [t.call('GET', '/otlp/v1/traces', { key: t.key }), 405, 12, /POST/],
    ];
    for (const [answer, status, code, message] of cases) {
      const { status: got, body } = await answer;
      expect([got, body]).toEqual([status, { code, message: expect.stringMatching(message) }]);
    }
    const wire = await sendWire(toProtobuf(few).subarray(0, 50));
    expect([wire.status, wire.type, readAnswer(wire.bytes, 'RpcStatus')]).toEqual([
      400,
      'application/x-protobuf',
      { code: 3, message: expect.stringMatching(/^invalid_encoding: the body is not an export in protobuf/) },
    ]);
  });

  it('is limited like all else, and told to come back before its exporter gives up', async () => {
    const { id, key } = await t.tenant();
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { eventsPerSecond: 5 } });
    const export40 = () => sendWire(toProtobuf(tracesOf(Array.from({ length: 40 }, () => aCall()))), key);
    expect((await export40()).status).toBe(200);
    const limited = await export40();
    expect([limited.status, limited.retryAfter, readAnswer(limited.bytes, 'RpcStatus')]).toEqual([
      429,
      '2', // it would be eight seconds
      { code: 8, message: expect.stringMatching(/^too_many_requests: /) },
    ]);
    expect(await usageOf('acme', key)).toEqual([{ calls: 40, tokens: 52_000 }]);
  });

  it('has its customers where the tenant says, and those it names for all that say none', async () => {
    const { id, key } = await t.tenant();
    const change = (body: object) => t.call('PATCH', `/v1/tenants/${id}`, { body });
    const asked = {
      otlpCustomerAttributes: ['app.team', 'gen_ai.conversation.id'],
      otlpDefaultCustomerId: 'house',
    };
    expect((await change(asked)).body).toMatchObject(asked);
    const spans = [
      aCall({ 'app.team': 'red', 'gen_ai.conversation.id': 'c-1' }),
      aCall({ 'gen_ai.conversation.id': 'c-1' }),
      aCall(),
    ];
    expect((await send('/otlp/v1/traces', tracesOf(spans), JSON_TYPE, key)).body).toEqual({});
    for (const customer of ['red', 'c-1', 'house']) {
      expect([customer, await usageOf(customer, key)]).toEqual([customer, [{ calls: 1, tokens: 1300 }]]);
    }
    expect((await change({ name: 'x' })).body).toMatchObject(asked);
    const none = { otlpCustomerAttributes: null, otlpDefaultCustomerId: null };
    expect((await change(none)).body).toMatchObject(none);
    for (const wrong of [[], [''], 'user.id', Array.from({ length: 21 }, (_, i) => `a${i}`)]) {
      expect((await change({ otlpCustomerAttributes: wrong })).status).toBe(400);
    }
    expect((await send('/otlp/v1/traces', tracesOf([aCall()]), JSON_TYPE, key)).body).toEqual({});
    expect(await usageOf('acme', key)).toEqual([{ calls: 1, tokens: 1300 }]);
  });

  it('with a platform key is of the tenant that X-Tenant-Id names', async () => {
    const { id, key } = await t.tenant();
    const platform = (more: Record<string, string>) =>
      t.call('POST', '/otlp/v1/traces', { body: tracesOf([aCall()]), headers: { ...JSON_TYPE, ...more } });
    expect((await platform({ 'x-tenant-id': id })).body).toEqual({});
    expect(await usageOf('acme', key)).toEqual([{ calls: 1, tokens: 1300 }]);
    expect((await platform({})).body).toMatchObject({
      code: 3,
      message: expect.stringMatching(/^tenant_required/),
    });
    expect((await platform({ 'x-tenant-id': 'nobody' })).status).toBe(404);
    const other = await send('/otlp/v1/traces', tracesOf([aCall()]), { ...JSON_TYPE, 'x-tenant-id': id });
    expect([other.status, other.body.code]).toEqual([403, 7]);
  });

  it('takes events in log records, from the exporter of its SDK', async () => {
    const memory = new InMemoryLogRecordExporter();
    const provider = new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter: memory })] });
    const logger = provider.getLogger('test');
    logger.emit({
      severityNumber: SeverityNumber.INFO,
      body: { eventId: 'log-1', customerId: 'logged', apiEndpoint: '/x', metadata: { tokens: 7 } },
    });
    logger.emit({ body: 'an ordinary line' });
    await provider.forceFlush();
    const exporter = new OTLPLogExporter({
      url: `${t.server.address}/otlp/v1/logs`,
      headers: headers(),
      timeoutMillis: 60_000,
    });
    const records = memory.getFinishedLogRecords();
    const result = await new Promise<ExportResult>((resolve) => exporter.export(records, resolve));
    expect(result).toEqual({ code: ExportResultCode.SUCCESS });
    await exporter.shutdown();
    expect(await usageOf('logged')).toEqual([{ calls: 1, tokens: 7 }]);
    const wrong = logsOf([{ body: anyValue('{"eventId":"log-2","customerId":""}'), timeUnixNano: '1' }]);
    expect((await send('/otlp/v1/logs', wrong, JSON_TYPE)).body).toMatchObject({
      partialSuccess: { rejectedLogRecords: '1' },
    });
  });

  it('is counted by what became of each span', async () => {
    const count = async () => {
      const { body } = await t.call('GET', '/metrics', { key: null });
      const of = (pattern: string) => Number(new RegExp(`^${pattern} (\\d+)`, 'm').exec(body)?.[1]);
      return [
        ...['usage', 'repeated', 'ignored', 'rejected'].map((outcome) =>
          of(`tidemark_otlp_items_total{signal="traces",outcome="${outcome}"}`),
        ),
        of('tidemark_otlp_calls_without_counts_total'),
      ];
    };
    const before = await count();
    const twice = { 'gen_ai.response.id': `chatcmpl-${'9'.repeat(24)}` };
    const silent = aSpan({ 'gen_ai.operation.name': 'chat', 'user.id': 'acme' });
    const spans = [aCall(twice), aCall(twice), silent, aSpan({}), aCall({ 'user.id': '' })];
    await send('/otlp/v1/traces', tracesOf(spans), JSON_TYPE);
    expect((await count()).map((now, i) => now - before[i]!)).toEqual([2, 1, 1, 1, 1]);
  });
});
