#!/usr/bin/env bash
# Two of three instrumentations for OpenAI lose the tokens of a streamed chat, though the stream carries them.
#
# With:  @traceloop/instrumentation-openai 0.27.0, @arizeai/openinference-instrumentation-openai 4.2.7,
#        @opentelemetry/instrumentation-openai 0.21.0, openai 6.49.0, @opentelemetry/sdk-trace-base 2.12.1; Node 20 or newer.
# Input: one chat completion of 1,000 tokens in and 300 out, plain and streamed with stream_options.include_usage, so that the
#        last chunk before [DONE] has the usage and an empty list of choices, as OpenAI sends it.
# Seen:  plain, all three spans say 1000 and 300. Streamed, the caller still gets both; OpenTelemetry's span has them, and those of
#        Traceloop and OpenInference, which have the model and the answer's text, no count of tokens at all.
# So:    a span of a model's call without tokens is one of unknown usage, not of none.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit \
  @traceloop/instrumentation-openai@0.27.0 @arizeai/openinference-instrumentation-openai@4.2.7 @opentelemetry/instrumentation-openai@0.21.0 \
  openai@6.49.0 @opentelemetry/sdk-trace-base@2.12.1 @opentelemetry/api@1.9.1
cat >run.cjs <<'JS'
const assert = require('node:assert/strict');
const { createServer } = require('node:http');
const { once } = require('node:events');
const { metrics } = require('@opentelemetry/api');
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base');

const [, , name, expectedWhenStreamed] = process.argv;
const memory = new InMemorySpanExporter();
const { OpenAIInstrumentation } = require(name); // before openai, which it patches as it is loaded
const instrumentation = new OpenAIInstrumentation();
instrumentation.setTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] }));
instrumentation.setMeterProvider(metrics.getMeterProvider());
const { OpenAI } = require('openai');

const common = { id: 'chatcmpl-1', created: 1, model: 'gpt-x' };
const usage = { prompt_tokens: 1000, completion_tokens: 300, total_tokens: 1300 };
const server = createServer(async (request, response) => {
  const { stream } = JSON.parse(Buffer.concat(await request.toArray()).toString());
  if (!stream) {
    const choices = [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }];
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ ...common, object: 'chat.completion', choices, usage }));
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const part of [
    { choices: [{ index: 0, delta: { role: 'assistant', content: 'yes' }, finish_reason: null }], usage: null },
    { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null },
    { choices: [], usage },
  ]) {
    response.write(`data: ${JSON.stringify({ ...common, object: 'chat.completion.chunk', ...part })}\n\n`);
  }
  response.end('data: [DONE]\n\n');
}).listen(0, '127.0.0.1');

(async () => {
  await once(server, 'listening');
  const client = new OpenAI({ apiKey: 'k', baseURL: `http://127.0.0.1:${server.address().port}/v1` });
  const question = { model: 'gpt-x', messages: [{ role: 'user', content: 'q' }] };
  const whole = await client.chat.completions.create(question);
  assert.equal(whole.usage.total_tokens, 1300);
  let last;
  for await (const chunk of await client.chat.completions.create({
    ...question,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    last = chunk;
  }
  assert.equal(last.usage.total_tokens, 1300);
  await new Promise((resolve) => setTimeout(resolve, 200));
  server.closeAllConnections();
  server.close();
  const tokens = memory.getFinishedSpans().map(({ attributes }) => [
    attributes['gen_ai.usage.input_tokens'] ?? attributes['llm.token_count.prompt'] ?? null,
    attributes['gen_ai.usage.output_tokens'] ?? attributes['llm.token_count.completion'] ?? null,
  ]);
  console.log(name, 'plain', tokens[0], 'streamed', tokens[1]);
  assert.deepEqual(tokens, [[1000, 300], JSON.parse(expectedWhenStreamed)]);
  process.exit(0);
})();
JS
node run.cjs @opentelemetry/instrumentation-openai '[1000, 300]'
node run.cjs @traceloop/instrumentation-openai '[null, null]'
node run.cjs @arizeai/openinference-instrumentation-openai '[null, null]'
