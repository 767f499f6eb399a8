import { describe, expect, it } from 'vitest';
import { parseJson } from '../../model/json.ts';
import { PriceBook } from '../../sums/costs/rating/priceBook.ts';
import { rateEvent } from '../../sums/costs/rating/rateEvent.ts';
import { SHAPES } from '../events/aiUsage/providers.ts';
import { parseEvents } from '../events/parseEvents.ts';
import { PROVIDER_NAMES } from '../events/providerNames.ts';
import { isLiteLlmMap, liteLlmPrices } from './liteLlmPrices.ts';

const NATIVE = { dialect: 'native', framing: 'json' } as const;

/** Entries in the shape of BerriAI/litellm at 00035b69. */
const MAP = `{
  "sample_spec": { "input_cost_per_token": 0.0, "litellm_provider": "one of https://docs.litellm.ai/docs/providers" },
  "gpt-x": { "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06,
    "input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": 8e-05, "litellm_provider": "openai", "mode": "chat" },
  "claude-x": { "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
    "output_cost_per_reasoning_token": 1.6e-05, "input_cost_per_token_above_200k_tokens": 6e-06, "litellm_provider": "anthropic" },
  "amazon.nova-x": { "input_cost_per_token": 5.46875e-07, "output_cost_per_token": 1.00000000000000000001e-7, "litellm_provider": "bedrock_converse" },
  "groq/llama-x": { "input_cost_per_token": 0, "output_cost_per_token": 0.0, "litellm_provider": "groq" },
  "gemini/gem-x": { "input_cost_per_token": 1e-07, "litellm_provider": "gemini" },
  "gem-x": { "input_cost_per_token": 2e-07, "litellm_provider": "vertex_ai-language-models" },
  "vertex_ai/claude-x": { "input_cost_per_token": 3.1e-06, "litellm_provider": "vertex_ai-anthropic_models" },
  "openai/gpt-x": { "input_cost_per_token": 9e-06, "litellm_provider": "openai" },
  "rerank-x": { "input_cost_per_query": 0.002, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "litellm_provider": "cohere" },
  "1024-x-1024/dall-e-x": { "input_cost_per_pixel": 1.9e-08, "input_cost_per_token": 0.0, "litellm_provider": "openai" },
  "image-x": { "output_cost_per_image": 0.06, "litellm_provider": "bedrock" }
}`;

describe('liteLlmPrices', () => {
  const document = parseJson(MAP) as Record<string, unknown>;

  it('knows such a map', () => {
    expect([isLiteLlmMap(document), isLiteLlmMap([]), isLiteLlmMap({ a: { price: 1 } })]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('takes prices to the last digit, with the names that events have for model and provider', () => {
    const { prices, leftOut, tiered, repeated, faults } = liteLlmPrices(document, new Set());
    expect(prices.map(({ model, provider, unitPrices }) => [model, provider, unitPrices])).toEqual([
      [
        'gpt-x',
        'openai',
        {
          input: '0.0000025',
          output: '0.00001',
          cachedInput: '0.00000125',
          audioInput: '0.00004',
          audioOutput: '0.00008',
        },
      ],
      [
        'claude-x',
        'anthropic',
        { input: '0.000003', output: '0.000015', cacheWrite: '0.00000375', reasoning: '0.000016' },
      ],
      ['amazon.nova-x', 'aws.bedrock', { input: '0.000000546875' }],
      ['llama-x', 'groq', { input: '0', output: '0' }],
      ['gem-x', 'gcp.gemini', { input: '0.0000001' }],
      ['gem-x', 'gcp.gen_ai', { input: '0.0000001' }],
      ['gem-x', 'gcp.vertex_ai', { input: '0.0000002' }],
      ['claude-x', 'gcp.vertex_ai', { input: '0.0000031' }],
      ['rerank-x', 'cohere', { input: '0', output: '0', call: '0.002' }],
    ]);
    expect(
      prices.every(
        ({ currency, match, fromMicros }) => currency === 'USD' && match === 'exact' && fromMicros === null,
      ),
    ).toBe(true);
    expect([leftOut, tiered, repeated]).toEqual([2, 1, ['openai/gpt-x']]);
    expect(faults).toEqual(['amazon.nova-x: output_cost_per_token: too_many_digits']);
  });

  it('has the prices of a provider hold for any where it is told to, by either name', () => {
    const any = (name: string) =>
      liteLlmPrices(document, new Set([name]))
        .prices.filter(({ provider }) => provider === null)
        .map(({ model }) => model);
    expect(any('openai')).toEqual(['gpt-x']);
    expect(any('bedrock_converse')).toEqual(['amazon.nova-x']);
    expect(any('aws.bedrock')).toEqual(['amazon.nova-x']);
    expect(any('gemini')).toEqual(['gem-x']);
  });
});

/** LiteLLM's entries, by the name that events have for the provider: [its name of the model, and of the provider, the event's model]. */
const ENTRIES: Record<string, [name: string, provider: string, model: string][]> = {
  anthropic: [['claude-y', 'anthropic', 'claude-y']],
  'aws.bedrock': [
    ['anthropic.claude-y-v1:0', 'bedrock', 'anthropic.claude-y-v1:0'],
    ['bedrock/meta.llama-y', 'bedrock_converse', 'meta.llama-y'],
  ],
  'azure.ai.inference': [['azure_ai/phi-y', 'azure_ai', 'phi-y']],
  'azure.ai.openai': [
    ['azure/gpt-y', 'azure', 'gpt-y'],
    ['azure/gpt-y-instruct', 'azure_text', 'gpt-y-instruct'],
  ],
  cohere: [
    ['command-y', 'cohere_chat', 'command-y'],
    ['embed-y', 'cohere', 'embed-y'],
  ],
  'gcp.gemini': [['gemini/gemini-y', 'gemini', 'gemini-y']],
  'gcp.gen_ai': [['gemini/gemini-z', 'gemini', 'gemini-z']],
  'gcp.vertex_ai': [
    ['gemini-y', 'vertex_ai-language-models', 'gemini-y'],
    ['vertex_ai/claude-y', 'vertex_ai-anthropic_models', 'claude-y'],
    ['vertex_ai/meta/llama-y', 'vertex_ai-llama_models', 'meta/llama-y'],
    ['vertex_ai/any-y', 'vertex_ai', 'any-y'],
  ],
  groq: [['groq/llama-y', 'groq', 'llama-y']],
  'ibm.watsonx.ai': [['watsonx/ibm/granite-y', 'watsonx', 'ibm/granite-y']],
  mistral_ai: [['mistral/mistral-y', 'mistral', 'mistral-y']],
  openai: [
    ['gpt-y', 'openai', 'gpt-y'],
    ['instruct-y', 'text-completion-openai', 'instruct-y'],
  ],
  x_ai: [['xai/grok-y', 'xai', 'grok-y']],
};

/** An object of each shape that names its provider. */
const OBJECTS: Record<string, object> = {
  openai_realtime: { input_tokens: 1, output_tokens: 1, input_token_details: {} },
  anthropic: { input_tokens: 1, output_tokens: 1, cache_read_input_tokens: 0 },
  gemini: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
  gemini_interactions: { total_input_tokens: 1, total_output_tokens: 1, total_tokens: 2 },
  bedrock_converse: { inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 0 },
  mistral: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2, num_cached_tokens: 0 },
  groq: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2, queue_time: 0.1 },
  cohere: { tokens: { input_tokens: 1, output_tokens: 1 } },
};

describe('the providers that events name', () => {
  const all = Object.values(ENTRIES).flat();
  const document = Object.fromEntries(
    all.map(([name, litellm_provider]) => [name, { input_cost_per_token: '1', litellm_provider }]),
  );
  const { prices } = liteLlmPrices(document, new Set());
  const book = new PriceBook(prices);
  const costOf = (metadata: object) => {
    const body = {
      ...{ eventId: 'e', timestamp: '2026-11-30T10:00:00Z', customerId: 'c', eventType: 'chat' },
      metadata,
    };
    const rules = { tenantId: 't', earliestMicros: Number.NaN, latestMicros: Number.NaN, receivedMicros: 0 };
    const parsed = parseEvents(Buffer.from(JSON.stringify(body)), NATIVE, rules, 1);
    expect(parsed.faults).toEqual([]);
    const [event] = parsed.events;
    return { provider: event!.document!.provider, cost: rateEvent(event!, book, 'USD') };
  };

  it.each(SHAPES.filter(({ provider }) => provider).map(({ name, provider }) => [name, provider!] as const))(
    'finds what %s costs, which says that it is of %s',
    (shape, provider) => {
      for (const [, , model] of ENTRIES[provider]!) {
        expect(costOf({ model, usage: OBJECTS[shape] })).toEqual({
          provider,
          cost: { currency: 'USD', amount: '1' },
        });
      }
    },
  );

  it.each([...new Set([...PROVIDER_NAMES, ...SHAPES.flatMap(({ provider }) => provider ?? [])])])(
    'finds what a call of %s costs, as spans name it',
    (provider) => {
      expect(ENTRIES).toHaveProperty([provider]);
      for (const [, , model] of ENTRIES[provider]!) {
        const cost = { currency: 'USD', amount: '1' };
        expect(costOf({ model, provider, inputTokens: 1, outputTokens: 0 })).toEqual({ provider, cost });
      }
    },
  );

  it('tells names that no event can have, and takes none of them', () => {
    const names = ['', 'openai/', 'n\0ul', 'half \ud83d', 'm'.repeat(257)];
    const entry = { litellm_provider: 'openai', input_cost_per_token: 1e-6 };
    const map = Object.fromEntries(names.map((name) => [name, entry]));
    const long = { ...entry, litellm_provider: 'p'.repeat(65) };
    const { prices, faults } = liteLlmPrices({ ...map, long }, new Set());
    expect(prices).toEqual([]);
    expect(faults).toEqual([
      ': model must not be empty (too_short)',
      'openai/: model must not be empty (too_short)',
      'n\0ul: model must not contain NUL or unpaired surrogates (text_invalid)',
      'half \ud83d: model must not contain NUL or unpaired surrogates (text_invalid)',
      `${'m'.repeat(80)}…: model may have at most 256 characters (too_long)`,
      'long: provider may have at most 64 characters (too_long)',
    ]);
  });
});
