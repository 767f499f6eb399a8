/*
 * Calls OpenAI's API as applications do, watched by the instrumentations that the arguments name, and exports their spans
 * to OTEL_EXPORTER_OTLP_ENDPOINT. A process of its own: instrumentations patch what they watch for good.
 *
 *   node run.mjs CUSTOMER opentelemetry|traceloop|openinference|ai-sdk ...
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url); // instrumentations see what is required
const { context, metrics, trace } = require('@opentelemetry/api');
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');

const [customer, ...emitters] = process.argv.slice(2);
const provider = new BasicTracerProvider({
  spanProcessors: [
    {
      onStart: (span) => void span.setAttribute('user.id', customer),
      onEnd() {},
      forceFlush: async () => {},
      shutdown: async () => {},
    },
    new BatchSpanProcessor(new OTLPTraceExporter()),
  ],
});
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

const INSTRUMENTATIONS = {
  opentelemetry: '@opentelemetry/instrumentation-openai',
  traceloop: '@traceloop/instrumentation-openai',
  openinference: '@arizeai/openinference-instrumentation-openai',
};
for (const name of emitters) {
  if (!(name in INSTRUMENTATIONS)) continue;
  const { OpenAIInstrumentation } = require(INSTRUMENTATIONS[name]);
  const instrumentation = new OpenAIInstrumentation();
  // As registerInstrumentations does: without a meter that of OpenTelemetry breaks streams (findings/otel-openai-stream-without-meter.sh).
  instrumentation.setTracerProvider(provider);
  instrumentation.setMeterProvider(metrics.getMeterProvider());
  instrumentation.enable();
}

const messages = [{ role: 'user', content: 'Hello' }];
const settings = { baseURL: process.env.OPENAI_BASE_URL, apiKey: 'none' };

async function callDirectly() {
  const OpenAI = require('openai').default;
  const client = new OpenAI(settings);
  await client.chat.completions.create({ model: 'gpt-4o', messages });
  const stream = await client.chat.completions.create({
    model: 'gpt-4o',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const _ of stream);
}

async function callByAiSdk() {
  const { embed, generateText, jsonSchema, stepCountIs, streamText, tool } = require('ai');
  const openai = require('@ai-sdk/openai').createOpenAI(settings);
  const common = {
    model: openai.chat('gpt-4o'),
    messages,
    experimental_telemetry: { isEnabled: true, metadata: { userId: customer } },
  };
  await generateText(common);
  await streamText(common).consumeStream();
  const weather = tool({
    description: 'the weather',
    inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } } }),
    execute: async () => 'rain',
  });
  await generateText({ ...common, tools: { weather }, stopWhen: stepCountIs(3) }); // two steps
  const { experimental_telemetry } = common;
  await embed({ model: openai.embedding('text-embedding-3-small'), value: 'x', experimental_telemetry });
}

if (emitters.includes('ai-sdk')) await callByAiSdk();
else await callDirectly();
await provider.shutdown();
