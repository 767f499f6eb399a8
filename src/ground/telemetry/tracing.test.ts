import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ROOT_CONTEXT, SpanKind, TraceFlags, trace } from '@opentelemetry/api';
import { SamplingDecision } from '@opentelemetry/sdk-trace-base';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/support/service.ts';
import type { TelemetryConfig } from '../config/telemetry.ts';
import { createLogger } from './logger.ts';
import { createSampler } from './sampler.ts';
import { callingSpan, inSharedSpan, inSpan, inStatementSpan } from './spans.ts';
import { startTracing } from './startTracing.ts';
import type { Tracing } from './tracing.ts';

const servers: Server[] = [];
const started: Tracing[] = [];
const lines: string[] = [];
const log = createLogger({ logLevel: 'info' }, { write: (line) => void lines.push(line) });

afterEach(async () => {
  for (const tracing of started.splice(0)) await tracing.close(100);
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  lines.length = 0;
});

async function collector(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer as never).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function start(endpoint: string, more: Partial<TelemetryConfig['traces']> = {}): Promise<Tracing> {
  process.env.OTEL_BSP_SCHEDULE_DELAY = '20'; // read by the SDK
  process.env.OTEL_BSP_MAX_QUEUE_SIZE = '100';
  process.env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE = '50';
  process.env.OTEL_EXPORTER_OTLP_TIMEOUT = '200';
  const traces = { endpoint, protocol: 'http/protobuf', sampler: 'always_on', ratio: 1, ...more } as const;
  const tracing = await startTracing({ traces }, log);
  started.push(tracing);
  return tracing;
}

const spans = async (count: number, name = 'work') => {
  for (let i = 0; i < count; i++) await inSpan(name, {}, async () => undefined);
};

describe('without a collector', () => {
  it('nothing is traced, and nobody is in a span', async () => {
    const tracing = await startTracing({ traces: null }, log);
    await inSpan('work', {}, async (span) => {
      expect(span.isRecording()).toBe(false);
      expect(callingSpan()).toBeUndefined();
      await inSharedSpan('shared', [callingSpan()], async (shared) =>
        expect(shared?.isRecording()).toBe(false),
      );
      await inStatementSpan('select 1', undefined, async () => expect(callingSpan()).toBeUndefined());
    });
    await tracing.close(0);
    expect(tracing.exported + tracing.failed).toBe(0);
  });

  it('only one file loads the SDK, and only when it is asked for', () => {
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    );
    const sources = files
      .filter((name) => !name.endsWith('.test.ts'))
      .map((name) => [name, readFileSync(join('src', name), 'utf8')] as const);
    const loading = sources
      .filter(([, text]) => /from '@opentelemetry\/(?!api')/.test(text))
      .map(([name]) => name);
    expect(loading.sort()).toEqual(['ground/telemetry/otlpTracing.ts', 'ground/telemetry/sampler.ts']);
    const importing = sources
      .filter(([, text]) => /from '\.[^']*(otlpTracing|sampler)\.ts'/.test(text))
      .map(([name]) => name);
    expect(importing).toEqual(['ground/telemetry/otlpTracing.ts']);
  });
});

describe('a collector', () => {
  it('gets protobuf by default, at its path', async () => {
    const received: { url: string | undefined; type: string | undefined; body: string }[] = [];
    const endpoint = await collector(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      received.push({
        url: request.url,
        type: request.headers['content-type'],
        body: Buffer.concat(chunks).toString('latin1'),
      });
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
    const tracing = await start(`${endpoint}/`);
    await spans(3, 'a span by protobuf');
    await until(() => tracing.exported === 3);
    expect(received[0]).toMatchObject({ url: '/v1/traces', type: 'application/x-protobuf' });
    expect(received[0]!.body).toContain('a span by protobuf');
    expect(received[0]!.body).toContain('tidemark');
  });

  it('that is away costs spans and nothing else, and is told of once', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    const tracing = await start(`http://127.0.0.1:${port}`);
    for (let i = 1; i <= 3; i++) {
      await spans(20);
      await until(() => tracing.failed >= 20 * i);
    }
    expect(tracing.exported).toBe(0);
    expect(lines.filter((line) => line.includes('does not take spans'))).toHaveLength(1);

    const back = createServer((request, response) => request.resume().once('end', () => response.end()));
    servers.push(back.listen(port, '127.0.0.1'));
    await until(async () => {
      await spans(1);
      return tracing.exported > 0;
    });
    expect(lines.filter((line) => line.includes('takes spans again'))).toHaveLength(1);
  });

  it('that never answers holds up neither the work nor the end', async () => {
    const tracing = await start(await collector(() => undefined));
    const began = performance.now();
    await spans(20_000);
    expect(performance.now() - began).toBeLessThan(5_000); // 20,000 spans, of which 100 can wait
    const closing = performance.now();
    await tracing.close(150);
    expect(performance.now() - closing).toBeLessThan(1_000);
    expect(trace.getTracer('x').startSpan('after').isRecording()).toBe(false);
  });

  it('that refuses spans does not end the process', async () => {
    const endpoint = await collector((request, response) =>
      request.resume().once('end', () => response.writeHead(400).end('no')),
    );
    const tracing = await start(endpoint);
    await spans(5);
    await until(() => tracing.failed === 5);
  });

  it('gets what is left at the end', async () => {
    const tracing = await start(
      await collector((request, response) => request.resume().once('end', () => response.end())),
    );
    await spans(7);
    await tracing.close(2_000);
    expect(tracing.exported).toBe(7);
  });
});

describe('the samplers', () => {
  const parent = (sampled: boolean) =>
    trace.setSpanContext(ROOT_CONTEXT, {
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
      isRemote: true,
    });
  const keeps = (
    sampler: ReturnType<typeof createSampler>,
    context = ROOT_CONTEXT,
    links = 0,
    traceId = `${'0'.repeat(31)}1`,
  ) => {
    const linked = Array.from({ length: links }, () => ({ context: trace.getSpanContext(parent(true))! }));
    const { decision } = sampler.shouldSample(context, traceId, 'span', SpanKind.INTERNAL, {}, linked);
    return decision === SamplingDecision.RECORD_AND_SAMPLED;
  };

  it.each([
    ['always_on', true, true, true],
    ['always_off', false, false, false],
    ['parentbased_always_on', true, true, false],
    ['parentbased_always_off', false, true, false],
  ] as const)('%s: a root %s, below a kept one %s, below another %s', (name, root, below, other) => {
    const sampler = createSampler(name, 1);
    expect([keeps(sampler), keeps(sampler, parent(true)), keeps(sampler, parent(false))]).toEqual([
      root,
      below,
      other,
    ]);
  });

  it.each(['traceidratio', 'parentbased_traceidratio'] as const)('%s keeps its part of the roots', (name) => {
    const sampler = createSampler(name, 0.25);
    const ids = Array.from({ length: 4_000 }, () =>
      Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join(''),
    );
    const kept = ids.filter((id) => keeps(sampler, ROOT_CONTEXT, 0, id)).length;
    expect(kept).toBeGreaterThan(800);
    expect(kept).toBeLessThan(1_200);
    expect(keeps(sampler, parent(true))).toBe(name === 'parentbased_traceidratio' ? true : keeps(sampler));
  });

  it('keep what is linked to kept ones, whatever they say', () => {
    expect(keeps(createSampler('always_off', 1), ROOT_CONTEXT, 1)).toBe(true);
    expect(keeps(createSampler('traceidratio', 0), ROOT_CONTEXT, 2)).toBe(true);
  });
});
