#!/usr/bin/env bash
# OpenTelemetry's OTLP exporter loses a batch at once when the collector asks for patience.
#
# With:  @opentelemetry/exporter-trace-otlp-http 0.223.1, @opentelemetry/sdk-trace-base 2.12.1; Node 20 or newer.
# Input: one span; a collector that answers 429 with Retry-After: 60 to the first request and 200 to all that follow.
# Seen:  one request in all. The exporter reports failure within milliseconds, without waiting and without a second
#        try, since 60 s is more than its own timeout of 10 s. With Retry-After: 2 the same batch arrives.
# So:    a receiver that wants its spans back says a short Retry-After, or none.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit \
  @opentelemetry/exporter-trace-otlp-http@0.223.1 @opentelemetry/sdk-trace-base@2.12.1 @opentelemetry/api@1.9.1
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';

const memory = new InMemorySpanExporter();
new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] }).getTracer('t').startSpan('s').end();
const spans = memory.getFinishedSpans();

async function send(retryAfter) {
  let requests = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      requests += 1;
      const headers = { 'content-type': 'application/json' };
      if (requests === 1) response.writeHead(429, { ...headers, 'retry-after': retryAfter }).end('{}');
      else response.writeHead(200, headers).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const exporter = new OTLPTraceExporter({ url: `http://127.0.0.1:${server.address().port}/v1/traces` });
  const result = await new Promise((resolve) => exporter.export(spans, resolve));
  await exporter.shutdown();
  server.closeAllConnections();
  server.close();
  return { requests, stored: result.code === 0 };
}

const long = await send('60');
const short = await send('2');
console.log('Retry-After: 60 ->', long);
console.log('Retry-After: 2  ->', short);
assert.deepEqual(long, { requests: 1, stored: false });
assert.deepEqual(short, { requests: 2, stored: true });
JS
node run.mjs
