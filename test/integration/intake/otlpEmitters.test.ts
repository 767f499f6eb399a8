import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { FakeOpenAi } from '../../support/fakeOpenAi.ts';
import { type ListeningService, startListeningService } from '../../support/listening.ts';

const RUN = fileURLToPath(new URL('../../support/emitters/run.mjs', import.meta.url));

/** What a process with all of its instrumentations may take, in ms. */
const STARTS_MS = 180_000;

interface Stored {
  eventId: string;
  eventType: string;
  metadata: Record<string, unknown>;
}

describeEngine('instrumentations of others', () => {
  let t: ListeningService;
  let openAi: FakeOpenAi;
  beforeAll(async () => {
    [t, openAi] = await Promise.all([startListeningService(), FakeOpenAi.start()]);
  });
  afterAll(() => Promise.all([t.stop(), openAi.stop()]));

  /** Runs them, and returns what was stored, in the order in which it happened. */
  const run = async (customer: string, emitters: string[]): Promise<Stored[]> => {
    await promisify(execFile)(process.execPath, [RUN, customer, ...emitters], {
      env: {
        ...process.env,
        OTEL_EXPORTER_OTLP_ENDPOINT: `${t.server.address}/otlp`,
        OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${t.key}`,
        OPENAI_BASE_URL: openAi.url,
      },
    });
    const { body } = await t.call('GET', `/v1/events?customerId=${customer}`, { key: t.key });
    return body.data.reverse();
  };
  const told = (events: Stored[]) =>
    events.map(({ eventType, metadata: { inputTokens, outputTokens, tokens, usageStatus } }) => [
      eventType,
      inputTokens,
      outputTokens,
      tokens,
      usageStatus,
    ]);
  const COUNTED = ['gen_ai.chat', 1000, 300, 1300, 'counted'];
  const UNKNOWN = ['gen_ai.chat', undefined, undefined, undefined, 'unknown'];

  it(
    '@opentelemetry/instrumentation-openai: a call and a stream',
    async () => {
      const events = await run('opentelemetry', ['opentelemetry']);
      expect(told(events)).toEqual([COUNTED, COUNTED]);
      expect(events.map(({ eventId }) => eventId)).toEqual(openAi.ids.slice(-2));
      expect(events[0]!.metadata).toMatchObject({
        model: 'gpt-4o-2024-08-06',
        provider: 'openai',
        finishReason: 'stop',
      });
      expect(events[0]!.metadata.latencyMs).toBeGreaterThan(0);
    },
    STARTS_MS,
  );

  it(
    '@traceloop/instrumentation-openai: the counts of its streams are unknown, since it has none',
    async () => {
      const events = await run('traceloop', ['traceloop']);
      expect(told(events)).toEqual([COUNTED, UNKNOWN]);
      expect(events.map(({ eventId }) => eventId)).toEqual(openAi.ids.slice(-2));
    },
    STARTS_MS,
  );

  it(
    '@arizeai/openinference-instrumentation-openai: with cached and reasoning tokens, and no id but that of the span',
    async () => {
      const events = await run('openinference', ['openinference']);
      expect(told(events)).toEqual([COUNTED, UNKNOWN]);
      expect(events[0]!.metadata).toMatchObject({
        cachedInputTokens: 800,
        reasoningTokens: 200,
        provider: 'openai',
      });
      for (const { eventId, metadata } of events)
        expect(eventId).toBe(`${metadata.traceId}-${metadata.spanId}`);
    },
    STARTS_MS,
  );

  it(
    'ai: each step once, and not once more in the span around them',
    async () => {
      const events = await run('ai-sdk', ['ai-sdk']);
      expect(told(events)).toEqual([
        COUNTED,
        COUNTED,
        COUNTED,
        COUNTED,
        ['gen_ai.embeddings', 8, undefined, 8, 'counted'],
      ]);
      expect(events.slice(0, 4).map(({ eventId }) => eventId)).toEqual(openAi.ids.slice(-4));
      expect(events[0]!.metadata).toMatchObject({
        provider: 'openai',
        cachedInputTokens: 800,
        reasoningTokens: 200,
        model: 'gpt-4o-2024-08-06',
      });
    },
    STARTS_MS,
  );

  // OpenTelemetry's and Traceloop's take each other's place in the client; OpenInference's goes around either.
  it(
    'two at once tell of a call once: the id of the one, the parts of the other',
    async () => {
      const events = await run('traceloop-openinference', ['traceloop', 'openinference']);
      expect(told(events)).toEqual([COUNTED, UNKNOWN]);
      expect(events.map(({ eventId }) => eventId)).toEqual(openAi.ids.slice(-2));
      expect(events[0]!.metadata).toMatchObject({ cachedInputTokens: 800, reasoningTokens: 200 });
    },
    STARTS_MS,
  );
});
