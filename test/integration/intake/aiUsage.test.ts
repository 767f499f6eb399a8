import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { importFile } from '../../../src/intake/importing/importFile.ts';
import { ImportCounts } from '../../../src/intake/importing/importRows.ts';
import { parseMapping } from '../../../src/intake/importing/mapping.ts';
import { openSource } from '../../../src/intake/importing/openSource.ts';
import { describeEngine } from '../../support/database.ts';
import { unsettled } from '../../support/queue.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

type Counts = {
  inputTokens?: number;
  outputTokens?: number;
  cachedInputTokens?: number;
  cacheWriteTokens?: number;
  reasoningTokens?: number;
  audioInputTokens?: number;
  audioOutputTokens?: number;
};

/** What is sent, and what it comes to. All of the first four say the same call. */
const CALLS: Record<string, { metadata: Record<string, unknown>; counts: Counts; model?: string }> = {
  'OpenAI chat': {
    metadata: {
      model: 'gpt-5',
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 300,
        total_tokens: 1_300,
        prompt_tokens_details: { cached_tokens: 800, cache_write_tokens: 64 },
        completion_tokens_details: { reasoning_tokens: 200 },
      },
    },
    model: 'gpt-5',
    counts: {
      inputTokens: 1_000,
      outputTokens: 300,
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
      reasoningTokens: 200,
    },
  },
  Anthropic: {
    metadata: {
      response: {
        id: 'msg_1',
        model: 'claude-opus-4-7',
        usage: {
          input_tokens: 136,
          output_tokens: 300,
          cache_read_input_tokens: 800,
          cache_creation_input_tokens: 64,
          output_tokens_details: { thinking_tokens: 200 },
        },
      },
    },
    model: 'claude-opus-4-7',
    counts: {
      inputTokens: 1_000,
      outputTokens: 300,
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
      reasoningTokens: 200,
    },
  },
  Gemini: {
    metadata: {
      responseId: 'r',
      modelVersion: 'gemini-3-pro',
      usageMetadata: {
        promptTokenCount: 1_000,
        cachedContentTokenCount: 800,
        candidatesTokenCount: 100,
        thoughtsTokenCount: 200,
        totalTokenCount: 1_300,
      },
    },
    model: 'gemini-3-pro',
    counts: { inputTokens: 1_000, outputTokens: 300, cachedInputTokens: 800, reasoningTokens: 200 },
  },
  Bedrock: {
    metadata: {
      provider: 'aws.bedrock',
      usage: {
        inputTokens: 136,
        outputTokens: 300,
        totalTokens: 1_300,
        cacheReadInputTokens: 800,
        cacheWriteInputTokens: 64,
      },
    },
    counts: { inputTokens: 1_000, outputTokens: 300, cachedInputTokens: 800, cacheWriteTokens: 64 },
  },
  Mistral: {
    metadata: { usage: { promptTokens: 20, completionTokens: 5, totalTokens: 25, promptAudioSeconds: 3 } },
    counts: { inputTokens: 20, outputTokens: 5 },
  },
  Cohere: {
    metadata: {
      usage: {
        billed_units: { input_tokens: 6, output_tokens: 2 },
        tokens: { input_tokens: 70, output_tokens: 2 },
        cached_tokens: 16,
      },
    },
    counts: { inputTokens: 70, outputTokens: 2, cachedInputTokens: 16 },
  },
  Groq: {
    metadata: {
      x_groq: { usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13, queue_time: 0.1 } },
    },
    counts: { inputTokens: 9, outputTokens: 4 },
  },
  'AI SDK': {
    metadata: {
      usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
      totalUsage: {
        inputTokens: 50,
        inputTokenDetails: { noCacheTokens: 40, cacheReadTokens: 10 },
        outputTokens: 8,
        outputTokenDetails: { reasoningTokens: 6 },
        totalTokens: 58,
      },
      response: { id: 'r', modelId: 'gpt-5-mini' },
    },
    model: 'gpt-5-mini',
    counts: { inputTokens: 50, outputTokens: 8, cachedInputTokens: 10, reasoningTokens: 6 },
  },
  Realtime: {
    metadata: {
      usage: {
        input_tokens: 600,
        output_tokens: 90,
        total_tokens: 690,
        input_token_details: {
          audio_tokens: 500,
          cached_tokens: 400,
          cached_tokens_details: { audio_tokens: 350 },
        },
        output_token_details: { audio_tokens: 80 },
      },
    },
    counts: {
      inputTokens: 600,
      outputTokens: 90,
      cachedInputTokens: 400,
      audioInputTokens: 150,
      audioOutputTokens: 80,
    },
  },
};

describeEngine('usage objects of AI providers', () => {
  const stream = `ai-usage:${inject('engine')}:${process.pid}:${randomUUID().slice(0, 8)}`;
  let t: TestService;
  let redis: Redis;
  beforeAll(async () => {
    redis = new Redis(inject('redisUrl'));
    t = await startTestService({ SOURCE_REDIS_URL: inject('redisUrl'), SOURCE_STREAM: stream });
  });
  afterAll(async () => {
    await t?.stop();
    await redis.del(stream, `${stream}:dead`);
    redis.disconnect();
  });

  const listed = async (key: string) => {
    const { status, body } = await t.call('GET', '/v1/events?limit=100', { key });
    expect(status).toBe(200);
    return body.data as { customerId: string; metadata: Record<string, unknown> }[];
  };
  const hours = async (key: string) => {
    const { status, body } = await t.call('GET', '/v1/usage?granularity=1h&groupBy=customer', { key });
    expect(status).toBe(200);
    const sums = new Map<
      string,
      { calls: number; tokens: number; inputTokens: number; outputTokens: number }
    >();
    for (const { customerId, calls, tokens, inputTokens, outputTokens } of body.data) {
      const sum = sums.get(customerId) ?? { calls: 0, tokens: 0, inputTokens: 0, outputTokens: 0 };
      sums.set(customerId, {
        calls: sum.calls + calls,
        tokens: sum.tokens + tokens,
        inputTokens: sum.inputTokens + inputTokens,
        outputTokens: sum.outputTokens + outputTokens,
      });
    }
    return sums;
  };
  const usageMetric = async () => {
    const { body } = await t.call('GET', '/metrics');
    const samples = body.matchAll(/^tidemark_ai_usage_total\{status="(\w+)",shape="(\w+)"\} (\d+)$/gm);
    return Object.fromEntries([...samples].map(([, status, shape, n]) => [`${status} ${shape}`, Number(n)]));
  };
  const events = () =>
    Object.entries(CALLS).map(([customerId, { metadata }]) => ({
      ...anEvent({ customerId }),
      metadata: metadata as never,
    }));

  /** What became of the calls: each event as it is listed, and the sums of the hours. */
  async function expectCounted(key: string) {
    const found = await listed(key);
    expect(found.length).toBe(Object.keys(CALLS).length);
    const sums = await hours(key);
    for (const [name, { metadata, counts, model }] of Object.entries(CALLS)) {
      const { inputTokens = 0, outputTokens = 0 } = counts;
      const event = found.find(({ customerId }) => customerId === name)!;
      expect(event.metadata, name).toMatchObject({
        ...metadata,
        ...counts,
        ...(model && { model }),
        tokens: inputTokens + outputTokens,
        usageStatus: 'counted',
      });
      expect(sums.get(name), name).toEqual({
        calls: 1,
        tokens: inputTokens + outputTokens,
        inputTokens,
        outputTokens,
      });
    }
  }

  it('count the same in one event, a batch, lines, CloudEvents, a stream and a file', async () => {
    const ways: Record<string, (key: string, id: string) => Promise<unknown>> = {
      single: async (key) => {
        for (const body of events()) {
          const answer = await t.call('POST', '/v1/events', { key, body });
          expect(answer).toMatchObject({ status: 200, body: { accepted: 1, duplicates: 0 } });
          expect(Object.keys(answer.body)).toEqual(['accepted', 'duplicates']);
        }
      },
      batch: (key) => t.call('POST', '/v1/events', { key, body: events() }),
      lines: (key) =>
        t.call('POST', '/v1/events', {
          key,
          body: events()
            .map((event) => JSON.stringify(event))
            .join('\n'),
          headers: { 'content-type': 'application/x-ndjson' },
        }),
      cloudEvents: (key) =>
        t.call('POST', '/v1/events', {
          key,
          headers: { 'content-type': 'application/cloudevents-batch+json' },
          body: events().map(({ eventId, timestamp, customerId, metadata, apiEndpoint }) => ({
            specversion: '1.0',
            id: eventId,
            source: '/gateway',
            type: 'api.request',
            subject: customerId,
            time: timestamp,
            data: { ...(metadata as object), apiEndpoint },
          })),
        }),
      stream: async (_, tenant) => {
        await redis.xadd(stream, '*', 'tenant', tenant, 'data', JSON.stringify(events()));
        await until(async () => {
          const { pending, lag } = await unsettled(redis, stream);
          return pending === 0 && lag === 0;
        });
      },
      file: async (_, tenantId) => {
        const path = join(await runFolder(), 'events.ndjson');
        await writeFile(
          path,
          events()
            .map((event) => `${JSON.stringify(event)}\n`)
            .join(''),
        );
        await importEvents(path, tenantId);
      },
    };
    for (const [way, send] of Object.entries(ways)) {
      const { id, key } = await t.tenant();
      await send(key, id);
      await expectCounted(key).catch((error: Error) => {
        throw new Error(`${way}: ${error.message}`, { cause: error });
      });
    }
  });

  async function importEvents(path: string, tenantId: string): Promise<void> {
    const config = loadConfig({ TIDEMARK_PROFILE: 'test', DATABASE_URL: t.database.url });
    const counts = new ImportCounts();
    const source = await openSource({
      path,
      format: 'ndjson',
      delimiter: ',',
      mapping: parseMapping('', ''),
      constants: {},
      idPrefix: undefined,
      aheadMs: config.ingest.acceptAheadMs,
      tenantId,
    });
    await importFile({
      config,
      url: t.database.url,
      source,
      tenantId,
      createTenant: false,
      fromLine: 1,
      maxErrors: 0,
      counts,
      onBadLine: (fault) => {
        throw new Error(JSON.stringify(fault));
      },
      onRefresh: () => undefined,
      log: createLogger({ logLevel: 'silent' }),
      signal: new AbortController().signal,
    });
    expect(counts.stored).toBe(Object.keys(CALLS).length);
  }

  it('are read back and sent again as what they were', async () => {
    const first = await t.tenant();
    await t.call('POST', '/v1/events', { key: first.key, body: events() });
    const second = await t.tenant();
    const again = (await listed(first.key)).map(({ customerId, metadata }) => ({
      ...anEvent({ customerId }),
      metadata: metadata as never,
    }));
    expect(await t.call('POST', '/v1/events', { key: second.key, body: again })).toMatchObject({
      status: 200,
    });
    await expectCounted(second.key);
    const metadataOf = async (key: string) =>
      Object.fromEntries((await listed(key)).map(({ customerId, metadata }) => [customerId, metadata]));
    expect(await metadataOf(second.key)).toEqual(await metadataOf(first.key));
  });

  describe('that cannot be read', () => {
    const unrecognised = () => ({ ...anEvent(), metadata: { usage: { tokensIn: 5, tokensOut: 7 } } });
    const unknown = () => ({ ...anEvent(), metadata: { usage: null } });
    const counted = () => ({ ...anEvent(), metadata: { usage: { prompt_tokens: 5, completion_tokens: 1 } } });

    it('are kept, told and counted by themselves', async () => {
      const { key } = await t.tenant();
      const before = await usageMetric();
      const post = (body: unknown, query = '', headers = {}) =>
        t.call('POST', `/v1/events${query}`, { key, body: body as object, headers });
      expect((await post(unrecognised())).body).toEqual({ accepted: 1, duplicates: 0, unrecognisedUsage: 1 });
      expect((await post([unrecognised(), unknown(), counted(), anEvent()])).body).toEqual({
        accepted: 4,
        duplicates: 0,
        unrecognisedUsage: 1,
      });
      const bad = { ...anEvent(), metadata: { usage: { prompt_tokens: -1 } } };
      expect((await post([unrecognised(), unknown(), bad, counted()], '?onInvalid=skip')).body).toEqual({
        accepted: 3,
        duplicates: 0,
        rejected: 1,
        results: [
          { index: 0, status: 'accepted', usageStatus: 'unrecognised' },
          { index: 1, status: 'accepted', usageStatus: 'unknown' },
          {
            index: 2,
            status: 'invalid',
            errors: [
              expect.objectContaining({ pointer: '/metadata/usage/prompt_tokens', code: 'usage_invalid' }),
            ],
          },
          { index: 3, status: 'accepted' },
        ],
        unrecognisedUsage: 1,
      });
      expect((await post([unrecognised()], '', { prefer: 'respond-async' })).body).toEqual({
        queued: 1,
        unrecognisedUsage: 1,
      });
      await until(async () => (await listed(key)).length === 9);
      const after = await usageMetric();
      const added = Object.entries(after).map(([name, n]) => [name, n - before[name]!] as const);
      expect(Object.fromEntries(added.filter(([, n]) => n > 0))).toEqual({
        'unrecognised none': 4,
        'unknown none': 2,
        'counted openai_chat': 2,
      });
      const statuses = (await listed(key)).map(({ metadata }) => metadata.usageStatus ?? 'none').sort();
      expect(statuses).toEqual([
        ...['counted', 'counted', 'none', 'unknown', 'unknown'],
        ...['unrecognised', 'unrecognised', 'unrecognised', 'unrecognised'],
      ]);
      // Two calls of 6 tokens, and the plain event's 10: a call that is unknown adds none.
      expect((await hours(key)).get('customer-1')).toMatchObject({ calls: 9, tokens: 22, inputTokens: 10 });
      for (const { metadata } of await listed(key)) {
        if (metadata.usageStatus === 'unknown' || metadata.usageStatus === 'unrecognised') {
          expect(metadata).not.toHaveProperty('inputTokens');
          expect(metadata).not.toHaveProperty('tokens');
        }
      }
    });

    it('are refused where they cannot be', async () => {
      const { key } = await t.tenant();
      const wrong = { ...anEvent(), metadata: { provider: 'anthropic', usage: { prompt_tokens: 5 } } };
      expect(await t.call('POST', '/v1/events', { key, body: [counted(), wrong] })).toMatchObject({
        status: 422,
        body: {
          code: 'invalid_events',
          errors: [{ index: 1, pointer: '/metadata/usage', code: 'usage_invalid' }],
        },
      });
      expect(await listed(key)).toEqual([]);
    });
  });

  it('feed meters by their parts', async () => {
    const { key } = await t.tenant();
    const meter = {
      slug: 'cached',
      eventType: 'api.request',
      aggregation: 'sum',
      value: '$.cachedInputTokens',
      dimensions: { model: '$.model' },
    };
    expect(await t.call('POST', '/v1/meters', { key, body: meter })).toMatchObject({ status: 201 });
    await t.call('POST', '/v1/events', { key, body: events() });
    const { body } = await t.call('GET', '/v1/meters/cached/query?groupBy=model', { key });
    const sums = Object.fromEntries(
      body.data.map((row: { dimensions?: { model: string | null }; value: unknown }) => [
        row.dimensions?.model ?? 'none',
        Number(row.value),
      ]),
    );
    expect(sums).toMatchObject({
      'gpt-5': 800,
      'claude-opus-4-7': 800,
      'gemini-3-pro': 800,
      'gpt-5-mini': 10,
    });
  });
});
