import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../src/faces/http/server.ts';
import { createTestDatabase, describeEngine } from '../support/database.ts';
import { startDatabaseProxy } from '../support/databaseProxy.ts';
import { startServiceOn, type TestService, until } from '../support/service.ts';
import type { TcpProxy } from '../support/tcpProxy.ts';

describeEngine('exports while the database is away', () => {
  let proxy: TcpProxy;
  let t: TestService;
  let server: HttpServer;
  let mine: { id: string; key: string };
  beforeAll(async () => {
    const database = await createTestDatabase();
    const proxied = await startDatabaseProxy(database.url);
    proxy = proxied.proxy;
    t = await startServiceOn(
      database,
      { DB_PROBE_INTERVAL_MS: '200', DB_PROBE_TIMEOUT_MS: '2000', DB_CONNECT_TIMEOUT_MS: '2000' },
      { url: proxied.url },
    );
    server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
    mine = await t.tenant();
  });
  afterAll(async () => {
    await server.close(1_000);
    await t.stop();
    await proxy.close();
  });

  const ready = async () => (await t.call('GET', '/readyz', { key: null })).status === 200;

  /** Requests that were refused because the database is away. */
  const unavailable = async () => {
    const { body } = await t.call('GET', '/metrics', { key: null });
    return Number(/^tidemark_http_problems_total\{code="database_unavailable"\} (\d+)/m.exec(body)?.[1] ?? 0);
  };

  it.each([
    ['json', JsonExporter],
    ['protobuf', ProtoExporter],
  ] as const)(
    'are refused with 503, repeated by their exporter, and stored once: %s',
    async (name, Exporter) => {
      const memory = new InMemorySpanExporter();
      const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] });
      const attributes = { 'gen_ai.operation.name': 'chat', 'gen_ai.usage.input_tokens': 5, 'user.id': name };
      for (let i = 0; i < 3; i++) provider.getTracer('test').startSpan('chat', { attributes }).end();
      const headers = { authorization: `Bearer ${mine.key}` };
      const exporter = new Exporter({
        url: `${server.address}/otlp/v1/traces`,
        headers,
        timeoutMillis: 60_000,
      });
      const send = () =>
        new Promise<ExportResult>((resolve) => exporter.export(memory.getFinishedSpans(), resolve));

      await proxy.become('open');
      await until(ready);
      const before = await unavailable();
      await proxy.become('refusing');
      await until(async () => !(await ready()));
      const refused = await t.call('POST', '/otlp/v1/traces', { key: mine.key, body: { resourceSpans: [] } });
      expect([refused.status, refused.headers.get('retry-after'), refused.body.code]).toEqual([503, '1', 14]);
      let sent = send();
      await until(async () => (await unavailable()) >= before + 3); // the first attempt, and its repetition
      await proxy.become('open');
      await until(ready);
      // On a slow machine it may have given up by now, after five attempts: what is exported again counts once.
      while ((await sent).code !== ExportResultCode.SUCCESS) sent = send();
      await exporter.shutdown();
      const { body } = await t.call('GET', `/v1/usage?granularity=1d&customerId=${name}`, { key: mine.key });
      expect(body.data).toMatchObject([{ calls: 3, inputTokens: 15 }]);
    },
  );
});
