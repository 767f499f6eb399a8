#!/usr/bin/env bash
# An instrumentation that was made by `new` and given a tracer alone breaks the streams that it watches: the chunk with the
# usage throws "Cannot read properties of undefined (reading 'record')" in the application's `for await`. Its meters are made
# in setMeterProvider, which registerInstrumentations() calls and the constructor does not.
# With:  @opentelemetry/instrumentation-openai 0.21.0, openai 6.49.0, Node 20.20.2
# Input: a streamed chat completion with stream_options.include_usage, as OpenAI's API answers it.
# Seen:  without a meter the TypeError; with setMeterProvider(metrics.getMeterProvider()) the whole stream.
# So:    examples/ai-otel and test/support/emitters set one.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/instrumentation-openai@0.21.0 openai@6.49.0
cat >stream.cjs <<'JS'
const { createServer } = require('node:http');
const { metrics } = require('@opentelemetry/api');
const { OpenAIInstrumentation } = require('@opentelemetry/instrumentation-openai');
const instrumentation = new OpenAIInstrumentation();
if (process.argv[2] === 'meter') instrumentation.setMeterProvider(metrics.getMeterProvider());
const { OpenAI } = require('openai');
const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o' };
const chunks = [
  { ...head, choices: [{ index: 0, delta: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }] },
  { ...head, choices: [], usage: { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 } },
];
const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const chunk of chunks) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  response.end('data: [DONE]\n\n');
}).listen(0, '127.0.0.1', async () => {
  const client = new OpenAI({ apiKey: 'none', baseURL: `http://127.0.0.1:${server.address().port}/v1` });
  try {
    const messages = [{ role: 'user', content: 'Hello' }];
    const asked = { model: 'gpt-4o', messages, stream: true, stream_options: { include_usage: true } };
    let count = 0;
    for await (const _ of await client.chat.completions.create(asked)) count++;
    console.log(`${count} chunks`);
  } catch (error) {
    console.log(error.message);
  }
  server.close();
  server.closeAllConnections();
});
JS
without=$(node stream.cjs)
with=$(node stream.cjs meter)
echo "without a meter: $without"
echo "with one:        $with"
[[ $without == *"reading 'record'"* && $with == "2 chunks" ]]
