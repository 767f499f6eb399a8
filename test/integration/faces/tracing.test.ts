import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { startTracing } from '../../../src/ground/telemetry/startTracing.ts';
import type { Tracing } from '../../../src/ground/telemetry/tracing.ts';
import { describeEngine } from '../../support/database.ts';
import { FAST_DELIVERY } from '../../support/messages.ts';
import { OtlpReceiver, type ReceivedSpan } from '../../support/otlpReceiver.ts';
import { Receiver } from '../../support/receiver.ts';
import { ADMIN_KEY, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const SERVER = 2;
const CLIENT = 3;
const MARK = 'said-by-a-client';

/** A caller that is traced: its header, and the ids in it. */
function caller(sampled = true) {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceId, spanId, headers: { traceparent: `00-${traceId}-${spanId}-0${sampled ? 1 : 0}` } };
}

describeEngine('a trace', () => {
  let collector: OtlpReceiver;
  let receiver: Receiver;
  let tracing: Tracing;
  let t: TestService;
  let tenant: { id: string; key: string };
  const lines: string[] = [];

  beforeAll(async () => {
    collector = await OtlpReceiver.start();
    receiver = await Receiver.start();
    process.env.OTEL_BSP_SCHEDULE_DELAY = '50'; // the SDK reads it by itself
    process.env.OTEL_SERVICE_NAME = 'metering';
    process.env.OTEL_RESOURCE_ATTRIBUTES = 'deployment.environment.name=test';
    process.env.OTEL_EXPORTER_OTLP_HEADERS = 'x-collector-key=secret-of-the-collector';
    const env = {
      ...FAST_DELIVERY,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    };
    const log = createLogger({ logLevel: 'debug' }, { write: (line) => void lines.push(line) });
    tracing = await startTracing(loadConfig(env).telemetry, log);
    t = await startTestService(env, { tracing, log });
  });
  beforeEach(async () => {
    tenant = await t.tenant();
    receiver.answer = () => 204;
  });
  afterEach(async () => {
    collector.spans.length = 0;
  });
  afterAll(async () => {
    await t.stop();
    await tracing.close(5_000);
    for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
    await Promise.all([collector.stop(), receiver.stop()]);
  });

  const post = (body: unknown, headers: Record<string, string> = {}) =>
    t.call('POST', '/v1/events', { key: tenant.key, body, headers });
  const ofTrace = (traceId: string) => (span: ReceivedSpan) => span.traceId === traceId;
  const linksTo = (request: ReceivedSpan) => (span: ReceivedSpan) =>
    span.links.some(({ spanId }) => spanId === request.spanId);

  it('goes on from its caller to the statements of a request', async () => {
    const { traceId, spanId, headers } = caller();
    const requestId = `request-${MARK.length}`;
    const path = `/v1/windows?customerId=${MARK}`;
    const answer = await t.call('GET', path, {
      key: tenant.key,
      headers: { ...headers, 'x-request-id': requestId },
    });
    expect(answer.status).toBe(200);
    await collector.find((span) => ofTrace(traceId)(span) && span.kind === SERVER);
    const spans = collector.spans.filter(ofTrace(traceId));
    const [server] = spans.filter(({ kind }) => kind === SERVER);
    expect(server).toMatchObject({
      name: 'GET /v1/windows',
      parentSpanId: spanId,
      status: 0,
      attributes: {
        'http.request.method': 'GET',
        'http.route': '/v1/windows',
        'url.path': '/v1/windows',
        'http.response.status_code': 200,
        'tidemark.request.id': requestId,
        'tidemark.tenant.id': tenant.id,
      },
      resource: {
        'service.name': 'metering',
        'service.version': '0.1.0',
        'deployment.environment.name': 'test',
      },
    });
    const statements = spans.filter(({ kind }) => kind === CLIENT);
    expect(statements.length).toBeGreaterThan(0);
    for (const span of statements) {
      expect(span.parentSpanId).toBe(server!.spanId);
      expect(span.attributes).toMatchObject({
        'db.system.name': 'postgresql',
        'db.query.text': expect.any(String),
      });
    }
    expect(statements.map(({ name }) => name).join()).toMatch(/windows/);
    const line = lines.map((text) => JSON.parse(text)).find((one) => one.requestId === requestId);
    expect(line).toMatchObject({ trace_id: traceId, span_id: server!.spanId, route: '/v1/windows' });
  });

  it('of a batch is its own, and links to every request in it; its transactions are below it', async () => {
    const callers = Array.from({ length: 8 }, () => caller());
    const answers = await Promise.all(callers.map(({ headers }) => post(anEvent(), headers)));
    expect(answers.map(({ status }) => status)).toEqual(callers.map(() => 200));
    for (const { traceId, spanId } of callers) {
      const [request] = await collector.find((span) => ofTrace(traceId)(span) && span.kind === SERVER);
      expect(request).toMatchObject({ name: 'POST /v1/events', parentSpanId: spanId });
      const [batch] = await collector.find(linksTo(request!));
      expect(batch).toMatchObject({ name: 'write batch', parentSpanId: undefined });
      expect(callers.map((one) => one.traceId)).not.toContain(batch!.traceId);
      expect(batch!.links).toContainEqual(expect.objectContaining({ traceId }));
      expect(batch!.attributes['tidemark.batch.requests']).toBe(batch!.links.length);
      const copies = await collector.find(ofTrace(batch!.traceId), 2);
      expect(copies.find(({ name }) => name === 'COPY event')).toMatchObject({
        parentSpanId: batch!.spanId,
        kind: CLIENT,
        attributes: { 'db.system.name': 'postgresql', 'tidemark.ingest.path': 'direct' },
      });
    }
    const batches = new Set(
      collector.spans.filter(({ name }) => name === 'write batch').map(({ spanId }) => spanId),
    );
    expect(batches.size).toBeLessThan(callers.length); // they were joined, and still each is linked to
  });

  it('shows the slow path of a duplicate: what failed, and what followed', async () => {
    const event = anEvent();
    await post(event);
    const { traceId, headers } = caller();
    expect((await post(event, headers)).body.duplicates).toBe(1);
    const [request] = await collector.find((span) => ofTrace(traceId)(span) && span.kind === SERVER);
    const [batch] = await collector.find(linksTo(request!));
    const copies = (await collector.find(ofTrace(batch!.traceId), 3)).filter(
      ({ name }) => name === 'COPY event',
    );
    expect(copies.map(({ attributes }) => attributes['tidemark.ingest.path'])).toEqual([
      'direct',
      'claiming',
    ]);
    expect(copies[0]).toMatchObject({ status: 2, attributes: { 'error.type': '23505' } });
    expect(copies[1]!.status).toBe(0);
  });

  it('is not kept where its caller does not keep it, nor is its batch', async () => {
    const { traceId, headers } = caller(false);
    await post(anEvent(), headers);
    const after = caller();
    await post(anEvent(), after.headers);
    const [kept] = await collector.find((span) => ofTrace(after.traceId)(span) && span.kind === SERVER);
    await collector.find(linksTo(kept!));
    expect(collector.spans.filter(ofTrace(traceId))).toEqual([]);
    const batches = collector.spans.filter(({ name }) => name === 'write batch');
    expect(batches).toHaveLength(1);
  });

  it('names an unknown path by nothing that its caller has made up', async () => {
    const { traceId, headers } = caller();
    await t.call('GET', `/v1/${MARK}/${MARK}`, { key: tenant.key, headers });
    const [span] = await collector.find((one) => ofTrace(traceId)(one) && one.kind === SERVER);
    expect(span).toMatchObject({ name: 'GET', attributes: { 'http.response.status_code': 404 } });
    expect(span!.attributes).not.toHaveProperty('http.route');
  });

  it('of what machines ask is not kept', async () => {
    const { traceId, headers } = caller();
    for (const path of ['/healthz', '/readyz', '/metrics']) await t.call('GET', path, { key: null, headers });
    const after = caller();
    await t.call('GET', '/v1/windows', { key: tenant.key, headers: after.headers });
    await collector.find(ofTrace(after.traceId));
    expect(collector.spans.filter(ofTrace(traceId))).toEqual([]);
  });

  it('goes out with webhooks: on from a request that tests one, else from the attempt', async () => {
    const subscription = await t.call('POST', '/v1/subscriptions', {
      key: tenant.key,
      body: { url: receiver.url(`/hook?token=${MARK}`), messageTypes: ['alert.triggered'] },
    });
    const { traceId, headers } = caller();
    const tested = await t.call('POST', `/v1/subscriptions/${subscription.body.id}/test`, {
      key: tenant.key,
      headers,
    });
    expect(tested.status).toBe(200);
    const [sent] = receiver.received;
    const spans = await collector.find((span) => ofTrace(traceId)(span) && span.name.startsWith('POST'), 2);
    const client = spans.find(({ kind }) => kind === CLIENT)!;
    const server = spans.find(({ kind }) => kind === SERVER)!;
    expect(client.parentSpanId).toBe(server.spanId);
    expect(sent!.headers.traceparent).toBe(`00-${traceId}-${client.spanId}-01`);
    expect(client.attributes).toMatchObject({
      'http.request.method': 'POST',
      'server.address': '127.0.0.1',
      'server.port': receiver.port,
      'http.response.status_code': 204,
    });
    expect(server.attributes['url.path']).toBe('/v1/subscriptions/REDACTED/test');

    receiver.received.length = 0;
    receiver.answer = () => 500;
    const rule = { kind: 'event', field: 'tokens', threshold: 1 };
    await t.call('POST', '/v1/alert-rules', { key: tenant.key, body: rule });
    await post(anEvent({ metadata: { tokens: 5 } }), caller().headers);
    await until(() => receiver.received.length >= 1);
    const { traceparent } = receiver.received[0]!.headers;
    const [, outTrace, outSpan] = String(traceparent).split('-');
    const [attempt] = await collector.find(({ spanId }) => spanId === outSpan);
    expect(attempt).toMatchObject({
      traceId: outTrace,
      parentSpanId: undefined,
      kind: CLIENT,
      status: 2,
      attributes: { 'error.type': '500', 'tidemark.message.type': 'alert.triggered' },
    });
  });

  it('tells nothing of what is sent, nor any key', async () => {
    const event = anEvent({
      customerId: `${MARK}-customer`,
      apiEndpoint: `/${MARK}`,
      metadata: { model: MARK },
    });
    const bad = { ...event, timestamp: MARK };
    const headers = () => caller().headers;
    await post(event, headers());
    await post({ ...event, metadata: { model: MARK, tokens: 3 } }, headers()); // a duplicate
    await post(bad, headers());
    await post(`{"${MARK}`, headers());
    await t.call('GET', `/v1/events?customerId=${MARK}-customer`, { key: tenant.key, headers: headers() });
    await t.call('GET', `/v1/counters/${MARK}`, { key: tenant.key, headers: headers() });
    await t.call('GET', '/v1/windows', { key: `tm_${MARK}`, headers: headers() });
    const last = caller();
    await t.call('POST', '/v1/keys', {
      body: { tenantId: tenant.id, scopes: ['read'] },
      headers: last.headers,
    });
    await collector.find((span) => ofTrace(last.traceId)(span) && span.kind === SERVER);
    expect(collector.spans.length).toBeGreaterThan(15);
    const told = JSON.stringify(collector.spans);
    expect(told).not.toContain(MARK);
    expect(told).not.toContain(tenant.key);
    expect(told).not.toContain(ADMIN_KEY);
    expect(collector.spans.flatMap(({ events }) => events)).toEqual([]);
  });

  it('is sent as the environment says, and counted', async () => {
    await t.call('GET', '/v1/windows', { key: tenant.key });
    await until(() => tracing.exported > 0);
    const [request] = collector.requests;
    expect(request!.path).toBe('/v1/traces');
    expect(request!.headers['x-collector-key']).toBe('secret-of-the-collector');
    const { body } = await t.call('GET', '/metrics', { key: null });
    const exported = Number(/^tidemark_trace_spans_total\{outcome="exported"\} (\d+)/m.exec(body)?.[1]);
    expect(exported).toBeGreaterThan(0);
    expect(body).toMatch(/^tidemark_trace_spans_total\{outcome="failed"\} 0/m);
    expect(lines.join('')).not.toContain('secret-of-the-collector');
  });
});
