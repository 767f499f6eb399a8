#!/usr/bin/env bash
# One call of the Vercel AI SDK leaves two spans with the same token counts.
#
# With:  ai 6.0.326 (experimental_telemetry), @opentelemetry/sdk-trace-base 2.12.1; Node 20 or newer.
# Input: one generateText by a model that reports 1,000 tokens in and 300 out.
# Seen:  the span ai.generateText and its child ai.generateText.doGenerate both carry ai.usage.inputTokens = 1000, so
#        a sum over spans is twice what was used. gen_ai.usage.input_tokens and gen_ai.response.id are on the child alone.
# So:    count a span that has gen_ai.response.id, never one that merely has tokens.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit ai@6.0.326 zod@4.6.7 @opentelemetry/sdk-trace-base@2.12.1 @opentelemetry/api@1.9.1
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { generateText } from 'ai';
import { MockLanguageModelV3 } from 'ai/test';

const memory = new InMemorySpanExporter();
const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] }).getTracer('t');
const model = new MockLanguageModelV3({
  doGenerate: async () => ({
    content: [{ type: 'text', text: 'yes' }],
    finishReason: { unified: 'stop', raw: 'stop' },
    usage: {
      inputTokens: { total: 1000, noCache: 1000, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 300, text: 300, reasoning: 0 },
    },
    warnings: [],
  }),
});
const { usage } = await generateText({ model, prompt: 'q', experimental_telemetry: { isEnabled: true, tracer } });
const spans = memory.getFinishedSpans().map(({ name, attributes }) => ({
  name,
  'ai.usage.inputTokens': attributes['ai.usage.inputTokens'],
  'gen_ai.usage.input_tokens': attributes['gen_ai.usage.input_tokens'],
  identified: attributes['gen_ai.response.id'] !== undefined,
}));
console.log('used', usage.inputTokens, spans);
assert.equal(usage.inputTokens, 1000);
assert.equal(spans.length, 2);
assert.equal(spans.reduce((sum, span) => sum + span['ai.usage.inputTokens'], 0), 2000);
assert.equal(spans.reduce((sum, span) => sum + (span.identified ? span['gen_ai.usage.input_tokens'] : 0), 0), 1000);
JS
node run.mjs
