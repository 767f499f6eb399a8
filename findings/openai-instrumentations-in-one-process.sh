#!/usr/bin/env bash
# Two instrumentations for OpenAI in one process: in one order the application's call fails, in most one of them sees nothing.
#
# With:  @opentelemetry/instrumentation-openai 0.21.0, @arizeai/openinference-instrumentation-openai 4.2.7,
#        @traceloop/instrumentation-openai 0.27.0, openai 6.49.0, @opentelemetry/sdk-trace-base 2.12.1; Node 20 or newer.
# Input: a plain chat completion of 1,000 tokens in and 300 out, with each pair of the three, in both orders of being set up.
# Seen:  OpenTelemetry's before OpenInference's: the application gets a TypeError, "Body is unusable: Body has already been read", in
#        place of its answer, which the server has given and counts. In four of the other five orders there is one span and not two,
#        that of whichever was set up second; only Traceloop's before OpenInference's leaves both.
# So:    one instrumentation a process. That two are there says neither that calls are counted twice nor that any is seen by both.
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
const memory = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] });
for (const name of process.argv.slice(3)) {
  const { OpenAIInstrumentation } = require(name);
  const instrumentation = new OpenAIInstrumentation();
  instrumentation.setTracerProvider(provider);
  instrumentation.setMeterProvider(metrics.getMeterProvider());
}
const { OpenAI } = require('openai');
const server = createServer(async (request, response) => {
  await request.toArray();
  response.writeHead(200, { 'content-type': 'application/json' });
  const choices = [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }];
  const usage = { prompt_tokens: 1000, completion_tokens: 300, total_tokens: 1300 };
  response.end(
    JSON.stringify({ id: 'chatcmpl-1', created: 1, model: 'gpt-x', object: 'chat.completion', choices, usage }),
  );
}).listen(0, '127.0.0.1');
(async () => {
  await once(server, 'listening');
  const client = new OpenAI({ apiKey: 'k', baseURL: `http://127.0.0.1:${server.address().port}/v1`, maxRetries: 0 });
  let seen;
  try {
    const messages = [{ role: 'user', content: 'q' }];
    const answer = await client.chat.completions.create({ model: 'gpt-x', messages });
    seen = `answer of ${answer.usage.total_tokens} tokens`;
  } catch (error) {
    seen = `${error.constructor.name}: ${error.message}`;
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  const [, , expected, ...names] = process.argv;
  const spans = memory.getFinishedSpans().map(({ instrumentationScope, attributes }) => {
    const tokens = attributes['gen_ai.usage.input_tokens'] ?? attributes['llm.token_count.prompt'];
    return `${instrumentationScope.name.split('/')[0]} ${tokens}`;
  });
  const found = `${seen}; ${spans.join(', ')}`;
  console.log(`${names.map((name) => name.split('/')[0]).join(', ')}: ${found}`);
  assert.equal(found, expected);
  process.exit(0);
})();
JS
O=@opentelemetry/instrumentation-openai
A=@arizeai/openinference-instrumentation-openai
T=@traceloop/instrumentation-openai
node run.cjs 'answer of 1300 tokens; @opentelemetry 1000' $O
node run.cjs 'answer of 1300 tokens; @arizeai 1000' $A
node run.cjs 'answer of 1300 tokens; @traceloop 1000' $T
node run.cjs 'TypeError: Body is unusable: Body has already been read; @opentelemetry 1000' $O $A
node run.cjs 'answer of 1300 tokens; @opentelemetry 1000' $A $O
node run.cjs 'answer of 1300 tokens; @traceloop 1000' $O $T
node run.cjs 'answer of 1300 tokens; @opentelemetry 1000' $T $O
node run.cjs 'answer of 1300 tokens; @traceloop 1000' $A $T
node run.cjs 'answer of 1300 tokens; @traceloop 1000, @arizeai 1000' $T $A
