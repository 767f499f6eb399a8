// An application with two users and two ways to a model: the OpenAI SDK, which an instrumentation watches, and the Vercel
// AI SDK, which has telemetry of its own.
import { createRequire } from 'node:module';
import { context, propagation } from '@opentelemetry/api';

// An instrumentation of OpenTelemetry's sees what is required; what is imported only with the loader hook of its package.
const require = createRequire(import.meta.url);
const { OpenAI } = require('openai');
const { generateText } = require('ai');
const { createOpenAI } = require('@ai-sdk/openai');

const settings = { apiKey: process.env.OPENAI_API_KEY, baseURL: process.env.OPENAI_BASE_URL };

/** What a middleware does for a request: from here on everything is of this user. */
function asUser(id, work) {
  const baggage = propagation.createBaggage({ 'user.id': { value: id } });
  return context.with(propagation.setBaggage(context.active(), baggage), work);
}

await asUser('ada', async () => {
  const client = new OpenAI(settings);
  const { choices } = await client.chat.completions.create({
    model: 'gpt-4o',
    messages: [{ role: 'user', content: 'Say hello.' }],
  });
  console.log(`ada: ${choices[0].message.content}`);
});

await asUser('grace', async () => {
  const { text } = await generateText({
    model: createOpenAI(settings).chat('gpt-4o'),
    prompt: 'Say hello.',
    experimental_telemetry: { isEnabled: true },
  });
  console.log(`grace: ${text}`);
});
