import { describe, expect, it } from 'vitest';
import { parseJson } from '../../model/json.ts';
import { isLiteLlmMap, liteLlmPrices } from './liteLlmPrices.ts';

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
      ['gem-x', 'gcp.vertex_ai', { input: '0.0000002' }],
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
  });
});
