import type { BetaUsage } from '@anthropic-ai/sdk/resources/beta/messages/messages';
import type {
  Usage as AnthropicUsage,
  Message,
  MessageDeltaUsage,
  RawMessageDeltaEvent,
  RawMessageStartEvent,
} from '@anthropic-ai/sdk/resources/messages/messages';
import type { TokenUsage } from '@aws-sdk/client-bedrock-runtime';
import type { GenerateContentResponseUsageMetadata, Interactions, UsageMetadata } from '@google/genai';
import type { ConversationUsageInfo, UsageInfo } from '@mistralai/mistralai/models/components';
import type { LanguageModelUsage } from 'ai';
import type { LanguageModelUsage as LanguageModelUsage7 } from 'ai-7';
import type { Cohere } from 'cohere-ai';
import type { CompletionUsage as GroqUsage } from 'groq-sdk/resources/completions';
import type OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { normaliseUsage } from './normaliseUsage.ts';
import { SHAPES } from './providers.ts';

/*
 * One object a row, of the package's own type, so that a member that is renamed there does not compile here. What a
 * provider sends and its package's type does not have is in normaliseUsage.test.ts.
 */

const normalised = (metadata: object) => {
  // As it comes: what is undefined is not there.
  const sent = JSON.parse(JSON.stringify(metadata)) as Record<string, unknown>;
  const usage = normaliseUsage(sent, () => true);
  if (usage === null) return null;
  expect(usage.faults).toEqual([]);
  const { status, shape, columns, members } = usage;
  expect(members.usageStatus).toBe(status);
  const { usageStatus: _, ...parts } = members;
  seen.add(shape);
  return { status, shape, ...columns, ...parts };
};
const seen = new Set<string>();

describe('OpenAI', () => {
  it('chat completions count all parts in', () => {
    const usage: OpenAI.CompletionUsage = {
      prompt_tokens: 1_000,
      completion_tokens: 300,
      total_tokens: 1_300,
      prompt_tokens_details: { cached_tokens: 800, cache_write_tokens: 64, audio_tokens: 100 },
      completion_tokens_details: {
        reasoning_tokens: 200,
        audio_tokens: 10,
        accepted_prediction_tokens: 5,
        rejected_prediction_tokens: 3,
      },
    };
    expect(normalised({ usage, model: 'gpt-5' })).toEqual({
      status: 'counted',
      shape: 'openai_chat',
      inputTokens: 1_000,
      outputTokens: 300,
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
      audioInputTokens: 100,
      reasoningTokens: 200,
      audioOutputTokens: 10,
    });
  });

  it('chat completions as a whole response', () => {
    const response: Pick<OpenAI.ChatCompletion, 'id' | 'model' | 'usage'> = {
      id: 'chatcmpl-1',
      model: 'gpt-5-2026-08-01',
      usage: { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 },
    };
    const counts = { status: 'counted', shape: 'openai_chat', inputTokens: 10, outputTokens: 3 };
    expect(normalised({ response })).toEqual({ ...counts, model: 'gpt-5-2026-08-01' });
    expect(normalised({ ...response, usage: null })).toEqual({ status: 'unknown', shape: 'none' });
  });

  it('responses', () => {
    const usage: OpenAI.Responses.ResponseUsage = {
      input_tokens: 1_000,
      input_tokens_details: { cached_tokens: 800, cache_write_tokens: 0 },
      output_tokens: 300,
      output_tokens_details: { reasoning_tokens: 200 },
      total_tokens: 1_300,
    };
    const counts = {
      status: 'counted',
      shape: 'openai_responses',
      inputTokens: 1_000,
      outputTokens: 300,
      cachedInputTokens: 800,
      cacheWriteTokens: 0,
      reasoningTokens: 200,
    };
    expect(normalised({ usage })).toEqual(counts);
    // The last event of a stream.
    const event = { type: 'response.completed', response: { model: 'gpt-5', usage } };
    expect(normalised(event)).toEqual({ ...counts, model: 'gpt-5' });
    expect(normalised({ response: event })).toEqual({ ...counts, model: 'gpt-5' });
  });

  it('realtime, whose cached audio is cached', () => {
    const usage: OpenAI.Realtime.RealtimeResponseUsage = {
      input_tokens: 1_000,
      output_tokens: 300,
      total_tokens: 1_300,
      input_token_details: {
        text_tokens: 400,
        audio_tokens: 600,
        cached_tokens: 500,
        cached_tokens_details: { text_tokens: 100, audio_tokens: 400 },
      },
      output_token_details: { text_tokens: 100, audio_tokens: 200 },
    };
    expect(normalised({ usage })).toEqual({
      status: 'counted',
      shape: 'openai_realtime',
      inputTokens: 1_000,
      outputTokens: 300,
      cachedInputTokens: 500,
      audioInputTokens: 200,
      audioOutputTokens: 200,
    });
  });

  it('transcriptions, by tokens and by their length', () => {
    const tokens: OpenAI.Audio.Transcription.Tokens = {
      type: 'tokens',
      input_tokens: 120,
      input_token_details: { audio_tokens: 110, text_tokens: 10 },
      output_tokens: 40,
      total_tokens: 160,
    };
    expect(normalised({ usage: tokens })).toEqual({
      status: 'counted',
      shape: 'openai_realtime',
      inputTokens: 120,
      outputTokens: 40,
      audioInputTokens: 110,
    });
    const duration: OpenAI.Audio.Transcription.Duration = { type: 'duration', seconds: 12.5 };
    expect(normalised({ usage: duration })).toEqual({ status: 'unknown', shape: 'openai_duration' });
  });

  it('embeddings, which have no output', () => {
    const usage: OpenAI.CreateEmbeddingResponse.Usage = { prompt_tokens: 8, total_tokens: 8 };
    expect(normalised({ usage })).toEqual({ status: 'counted', shape: 'openai_chat', inputTokens: 8 });
  });

  it('images', () => {
    const usage: OpenAI.ImagesResponse.Usage = {
      input_tokens: 50,
      input_tokens_details: { image_tokens: 40, text_tokens: 10 },
      output_tokens: 1_000,
      total_tokens: 1_050,
    };
    expect(normalised({ usage })).toMatchObject({ status: 'counted', inputTokens: 50, outputTokens: 1_000 });
  });
});

describe('Anthropic', () => {
  it('counts what is cached beside the input', () => {
    const usage: AnthropicUsage = {
      input_tokens: 136,
      output_tokens: 300,
      cache_read_input_tokens: 800,
      cache_creation_input_tokens: 64,
      cache_creation: { ephemeral_5m_input_tokens: 60, ephemeral_1h_input_tokens: 4 },
      output_tokens_details: { thinking_tokens: 200 },
      server_tool_use: { web_search_requests: 2, web_fetch_requests: 0 },
      service_tier: 'standard',
      inference_geo: 'eu',
      speed: 'standard',
    };
    expect(normalised({ usage })).toEqual({
      status: 'counted',
      shape: 'anthropic',
      provider: 'anthropic',
      inputTokens: 1_000,
      outputTokens: 300,
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
      reasoningTokens: 200,
    });
  });

  it('the last event of a stream', () => {
    const usage: Partial<MessageDeltaUsage> = {
      input_tokens: 100,
      output_tokens: 15,
      cache_read_input_tokens: 900,
      cache_creation_input_tokens: null,
    };
    expect(normalised({ type: 'message_delta', usage })).toMatchObject({
      status: 'counted',
      inputTokens: 1_000,
      outputTokens: 15,
      cachedInputTokens: 900,
    });
    // Where it repeats nothing of the input, that is not known.
    expect(normalised({ usage: { ...usage, input_tokens: null, cache_read_input_tokens: null } })).toEqual({
      status: 'unknown',
      shape: 'anthropic',
      provider: 'anthropic',
      outputTokens: 15,
    });
  });

  describe('in a stream', () => {
    const usage: AnthropicUsage = {
      input_tokens: 136,
      output_tokens: 1, // what has come by now
      cache_read_input_tokens: 800,
      cache_creation_input_tokens: 64,
      cache_creation: null,
      output_tokens_details: null,
      server_tool_use: null,
      service_tier: 'standard',
      inference_geo: null,
      speed: null,
    };
    const message: Pick<Message, 'id' | 'type' | 'model' | 'stop_reason' | 'usage'> = {
      id: 'msg_1',
      type: 'message',
      model: 'claude-opus-4-7',
      stop_reason: null,
      usage,
    };
    const input = {
      shape: 'anthropic',
      provider: 'anthropic',
      inputTokens: 1_000,
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
    };

    it('the first event has the input, and no output', () => {
      const start: Omit<RawMessageStartEvent, 'message'> = { type: 'message_start' };
      const known = { ...input, status: 'unknown', model: 'claude-opus-4-7' };
      expect(normalised({ ...start, message })).toEqual(known);
      expect(normalised({ response: { ...start, message } })).toEqual(known);
      expect(
        normalised({ response: { ...start, message: { ...message, stop_reason: 'end_turn' } } }),
      ).toEqual(known);
    });

    it('a message that goes on has no output either, one that has ended has', () => {
      const model = { model: 'claude-opus-4-7' };
      expect(normalised({ response: message })).toEqual({ ...input, ...model, status: 'unknown' });
      expect(normalised(message)).toEqual({ ...input, status: 'unknown' }); // the model is there already
      const ended = { ...message, stop_reason: 'end_turn', usage: { ...usage, output_tokens: 300 } };
      const counted = { ...input, status: 'counted', outputTokens: 300 };
      expect(normalised(ended)).toEqual(counted);
      expect(normalised({ response: ended })).toEqual({ ...counted, ...model });
    });

    it('the last event has all', () => {
      const last: Pick<RawMessageDeltaEvent, 'type' | 'usage'> & { delta: object } = {
        type: 'message_delta',
        delta: { stop_reason: 'end_turn', stop_sequence: null },
        usage: { ...usage, output_tokens: 300 },
      };
      const counted = { ...input, status: 'counted', outputTokens: 300 };
      for (const metadata of [last, { response: last }]) expect(normalised(metadata)).toEqual(counted);
    });
  });

  it('compactions, which the counts leave out', () => {
    const usage: Pick<
      BetaUsage,
      | 'input_tokens'
      | 'output_tokens'
      | 'cache_read_input_tokens'
      | 'cache_creation_input_tokens'
      | 'iterations'
    > = {
      input_tokens: 100,
      output_tokens: 50,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      iterations: [
        {
          type: 'compaction',
          input_tokens: 9_000,
          output_tokens: 700,
          cache_read_input_tokens: 500,
          cache_creation_input_tokens: 20,
          cache_creation: null,
        },
        {
          type: 'message',
          input_tokens: 100,
          output_tokens: 50,
          cache_read_input_tokens: 0,
          cache_creation_input_tokens: 0,
          cache_creation: null,
          model: 'claude-opus-4-7',
        },
      ],
    };
    expect(normalised({ usage })).toMatchObject({
      status: 'counted',
      inputTokens: 9_620,
      outputTokens: 750,
      cachedInputTokens: 500,
      cacheWriteTokens: 20,
    });
  });
});

describe('Gemini', () => {
  it('counts thoughts and the results of tools beside prompt and candidates', () => {
    const usageMetadata: GenerateContentResponseUsageMetadata = {
      promptTokenCount: 1_000,
      cachedContentTokenCount: 800,
      candidatesTokenCount: 100,
      thoughtsTokenCount: 200,
      toolUsePromptTokenCount: 50,
      totalTokenCount: 1_350,
      promptTokensDetails: [
        { modality: 'TEXT' as never, tokenCount: 700 },
        { modality: 'AUDIO' as never, tokenCount: 300 },
      ],
      cacheTokensDetails: [{ modality: 'AUDIO' as never, tokenCount: 200 }],
      candidatesTokensDetails: [{ modality: 'AUDIO' as never, tokenCount: 30 }],
    };
    const counts = {
      status: 'counted',
      shape: 'gemini',
      provider: 'gcp.gen_ai',
      inputTokens: 1_050,
      outputTokens: 300,
      cachedInputTokens: 800,
      audioInputTokens: 100,
      reasoningTokens: 200,
      audioOutputTokens: 30,
    };
    const response = { responseId: 'r', modelVersion: 'gemini-3-pro', usageMetadata };
    for (const metadata of [response, { response }]) {
      expect(normalised(metadata)).toEqual({ ...counts, model: 'gemini-3-pro' });
    }
    expect(normalised({ usage: usageMetadata })).toEqual(counts);
  });

  it('leaves zeros out', () => {
    const blocked: GenerateContentResponseUsageMetadata = { promptTokenCount: 10, totalTokenCount: 10 };
    expect(normalised({ usageMetadata: blocked })).toMatchObject({ status: 'counted', outputTokens: 0 });
    const cut: GenerateContentResponseUsageMetadata = { promptTokenCount: 10, totalTokenCount: 60 };
    expect(normalised({ usageMetadata: cut })).toEqual({
      status: 'unknown',
      shape: 'gemini',
      provider: 'gcp.gen_ai',
      inputTokens: 10,
    });
  });

  it('Live', () => {
    const usageMetadata: UsageMetadata = {
      promptTokenCount: 300,
      responseTokenCount: 80,
      thoughtsTokenCount: 20,
      totalTokenCount: 400,
      responseTokensDetails: [{ modality: 'AUDIO' as never, tokenCount: 70 }],
    };
    expect(normalised({ usageMetadata })).toMatchObject({
      inputTokens: 300,
      outputTokens: 100,
      reasoningTokens: 20,
      audioOutputTokens: 70,
    });
  });

  it('Interactions', () => {
    const usage: Interactions.Usage = {
      total_input_tokens: 1_000,
      total_cached_tokens: 800,
      total_output_tokens: 100,
      total_thought_tokens: 200,
      total_tool_use_tokens: 50,
      total_tokens: 1_350,
      input_tokens_by_modality: [{ modality: 'audio', tokens: 300 }],
      cached_tokens_by_modality: [{ modality: 'audio', tokens: 250 }],
      output_tokens_by_modality: [{ modality: 'text', tokens: 100 }],
    };
    expect(normalised({ usage })).toEqual({
      status: 'counted',
      shape: 'gemini_interactions',
      provider: 'gcp.gen_ai',
      inputTokens: 1_050,
      outputTokens: 300,
      cachedInputTokens: 800,
      audioInputTokens: 50,
      reasoningTokens: 200,
      audioOutputTokens: 0,
    });
  });
});

describe('Bedrock Converse', () => {
  const usage: TokenUsage = {
    inputTokens: 136,
    outputTokens: 300,
    totalTokens: 1_300,
    cacheReadInputTokens: 800,
    cacheWriteInputTokens: 64,
    cacheDetails: [{ ttl: '5m', inputTokens: 64 }],
  };

  it('counts what is cached beside the input', () => {
    const counts = {
      status: 'counted',
      shape: 'bedrock_converse',
      inputTokens: 1_000,
      outputTokens: 300,
      cachedInputTokens: 800,
      cacheWriteTokens: 64,
    };
    expect(normalised({ usage })).toEqual({ ...counts, provider: 'aws.bedrock' });
    expect(normalised({ usage, modelId: 'eu.amazon.nova-pro-v1:0', provider: 'aws.bedrock' })).toEqual({
      ...counts,
      model: 'eu.amazon.nova-pro-v1:0',
    });
  });

  it('is not guessed at where its total says otherwise', () => {
    const metadata = { usage: { ...usage, totalTokens: 436 } };
    expect(normalised(metadata)).toEqual({ status: 'unrecognised', shape: 'none' });
  });
});

describe('Mistral', () => {
  it('in the words of the package', () => {
    const usage: UsageInfo = {
      promptTokens: 1_000,
      completionTokens: 300,
      totalTokens: 1_300,
      promptAudioSeconds: 7,
    };
    const counts = {
      status: 'counted',
      shape: 'mistral',
      provider: 'mistral_ai',
      inputTokens: 1_000,
      outputTokens: 300,
    };
    expect(normalised({ usage })).toEqual(counts);
  });

  it('in those of the wire', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13, num_cached_tokens: 4 };
    for (const named of [{}, { provider: 'mistral_ai' }]) {
      expect(normalised({ usage, ...named })).toMatchObject({
        shape: 'mistral',
        inputTokens: 10,
        outputTokens: 3,
        cachedInputTokens: 4,
      });
    }
  });

  it('connectors are in the input where the total says so', () => {
    const usage: ConversationUsageInfo = {
      promptTokens: 100,
      completionTokens: 50,
      totalTokens: 180,
      connectorTokens: 30,
      connectors: { web_search: 1 },
    };
    expect(normalised({ usage })).toMatchObject({ inputTokens: 130, outputTokens: 50 });
    expect(normalised({ usage: { ...usage, totalTokens: 150 } })).toMatchObject({ inputTokens: 100 });
    expect(normalised({ usage: { ...usage, totalTokens: 160 } })).toEqual({
      status: 'unrecognised',
      shape: 'none',
    });
  });
});

describe('Cohere', () => {
  const usage: Cohere.Usage = {
    billedUnits: { inputTokens: 60, outputTokens: 20, searchUnits: 1 },
    tokens: { inputTokens: 100, outputTokens: 20 },
    cachedTokens: 16,
  };
  const counts = {
    status: 'counted',
    shape: 'cohere',
    provider: 'cohere',
    inputTokens: 100,
    outputTokens: 20,
    cachedInputTokens: 16,
  };

  it('counts what the model saw', () => {
    expect(normalised({ usage })).toEqual(counts);
    const wire = {
      billed_units: { input_tokens: 60, output_tokens: 20 },
      tokens: { input_tokens: 100, output_tokens: 20 },
      cached_tokens: 16,
    };
    expect(normalised({ usage: wire })).toEqual(counts);
  });

  it('what is billed, where that is all there is', () => {
    const { billedUnits } = usage;
    expect(normalised({ usage: { billedUnits } })).toMatchObject({ inputTokens: 60, outputTokens: 20 });
  });
});

describe('Cohere, streamed', () => {
  const usage: Cohere.Usage = {
    billedUnits: { inputTokens: 60, outputTokens: 20 },
    tokens: { inputTokens: 100, outputTokens: 22 },
  };
  const end: Cohere.V2ChatStreamResponse.MessageEnd = {
    type: 'message-end',
    id: 'c',
    delta: { finishReason: 'COMPLETE', usage },
  };
  const counts = {
    status: 'counted',
    shape: 'cohere',
    provider: 'cohere',
    inputTokens: 100,
    outputTokens: 22,
  };

  it('the last event of a stream, in the words of the package and of the wire', () => {
    const wire = {
      type: 'message-end',
      delta: {
        finish_reason: 'COMPLETE',
        usage: {
          billed_units: { input_tokens: 60, output_tokens: 20 },
          tokens: { input_tokens: 100, output_tokens: 22 },
        },
      },
    };
    for (const event of [end, wire]) {
      expect(normalised(event)).toEqual(counts);
      expect(normalised({ response: event })).toEqual(counts);
    }
  });

  it('is unknown where the stream ended without a count', () => {
    const failed: Cohere.V2ChatStreamResponse.MessageEnd = {
      type: 'message-end',
      delta: { finishReason: 'ERROR', error: 'gone' },
    };
    expect(normalised(failed)).toEqual({ status: 'unknown', shape: 'none' });
  });

  it('does not take the input of one count and the output of the other', () => {
    const partly: Cohere.Usage = { ...usage, tokens: { inputTokens: 100 } };
    const { outputTokens: _, ...rest } = counts;
    expect(normalised({ usage: partly })).toEqual({ ...rest, status: 'unknown' });
  });
});

describe('Groq', () => {
  const usage: GroqUsage = {
    prompt_tokens: 1_000,
    completion_tokens: 300,
    total_tokens: 1_300,
    queue_time: 0.02,
    prompt_time: 0.1,
    completion_time: 0.8,
    total_time: 0.9,
    prompt_tokens_details: { cached_tokens: 800 },
    completion_tokens_details: { reasoning_tokens: 200 },
  };
  const counts = {
    status: 'counted',
    shape: 'groq',
    provider: 'groq',
    inputTokens: 1_000,
    outputTokens: 300,
    cachedInputTokens: 800,
    reasoningTokens: 200,
  };

  it('by its times', () => {
    expect(normalised({ usage })).toEqual(counts);
  });

  it('the last chunk of a stream', () => {
    const chunk = { id: 'c', model: 'llama-4', x_groq: { id: 'req', usage } };
    expect(normalised({ response: chunk })).toEqual({ ...counts, model: 'llama-4' });
    expect(normalised({ x_groq: { usage } })).toEqual(counts);
  });
});

describe('Vercel AI SDK', () => {
  const usage: LanguageModelUsage = {
    inputTokens: 1_000,
    inputTokenDetails: { noCacheTokens: 136, cacheReadTokens: 800, cacheWriteTokens: 64 },
    outputTokens: 300,
    outputTokenDetails: { textTokens: 100, reasoningTokens: 200 },
    totalTokens: 1_300,
    reasoningTokens: 200,
    cachedInputTokens: 800,
    raw: { prompt_tokens: 1_000, completion_tokens: 300 },
  };
  const counts = {
    status: 'counted',
    shape: 'ai_sdk',
    inputTokens: 1_000,
    outputTokens: 300,
    cachedInputTokens: 800,
    cacheWriteTokens: 64,
    reasoningTokens: 200,
  };

  it('counts all parts in, whoever answered', () => {
    const { reasoningTokens: _, cachedInputTokens: __, ...rest } = usage;
    const inVersion7: LanguageModelUsage7 = rest;
    for (const sent of [usage, inVersion7]) {
      expect(normalised({ usage: sent })).toEqual(counts);
      for (const provider of ['openai', 'anthropic', 'google', 'aws.bedrock', 'somebody']) {
        expect(normalised({ usage: sent, provider })).toEqual(counts);
      }
    }
  });

  it('all steps, not the last one', () => {
    const lastStep = { ...usage, inputTokens: 5, inputTokenDetails: {}, outputTokens: 1, totalTokens: 6 };
    const result = { usage: lastStep, totalUsage: usage, response: { id: 'r', modelId: 'gpt-5' } };
    expect(normalised(result)).toEqual({ ...counts, model: 'gpt-5' });
  });

  it('is unknown where the provider said nothing', () => {
    const nothing: LanguageModelUsage = {
      inputTokens: undefined,
      inputTokenDetails: {
        noCacheTokens: undefined,
        cacheReadTokens: undefined,
        cacheWriteTokens: undefined,
      },
      outputTokens: undefined,
      outputTokenDetails: { textTokens: undefined, reasoningTokens: undefined },
      totalTokens: undefined,
    };
    expect(normalised({ usage: nothing })).toEqual({ status: 'unknown', shape: 'ai_sdk' });
  });
});

it('every row has an object', () => {
  expect([...seen].sort()).toEqual(['none', ...SHAPES.map(({ name }) => name)].sort());
});
