import { type Counts, isMembers } from './counts.ts';
import { paths, type TokenCounts, type UsageShape } from './usageShape.ts';

/*
 * The usage objects of providers, as the types of their packages have them: one row a shape. What a row leaves out (prices,
 * tiers, seconds, requests) stays in the metadata as it was sent. docs/ai.md has the table for users.
 */

const AUDIO = { name: 'modality', is: /^audio$/i, count: 'tokenCount' };
const AUDIO_OF_INTERACTION = { name: 'modality', is: /^audio$/i, count: 'tokens' };

const OPENAI_CHAT: UsageShape = {
  name: 'openai_chat',
  types: 'openai@6.49.0 CompletionUsage, CreateEmbeddingResponse.Usage',
  wholes: ['prompt_tokens', 'completion_tokens', 'promptTokens', 'completionTokens'],
  marks: [],
  input: paths('prompt_tokens', 'promptTokens'),
  output: paths('completion_tokens', 'completionTokens'),
  cached: paths('prompt_tokens_details.cached_tokens'),
  cacheWrite: paths('prompt_tokens_details.cache_write_tokens'),
  audioInput: paths('prompt_tokens_details.audio_tokens'),
  reasoning: paths('completion_tokens_details.reasoning_tokens'),
  audioOutput: paths('completion_tokens_details.audio_tokens'),
  total: paths('total_tokens', 'totalTokens'),
  inputOnly: true,
};

const OPENAI_RESPONSES: UsageShape = {
  name: 'openai_responses',
  types: 'openai@6.49.0 ResponseUsage, ImagesResponse.Usage',
  wholes: ['input_tokens', 'output_tokens'],
  marks: ['total_tokens', 'input_tokens_details'],
  ignored: ['output_tokens_details'],
  input: paths('input_tokens'),
  output: paths('output_tokens'),
  cached: paths('input_tokens_details.cached_tokens'),
  cacheWrite: paths('input_tokens_details.cache_write_tokens'),
  audioInput: paths('input_tokens_details.audio_tokens'),
  reasoning: paths('output_tokens_details.reasoning_tokens'),
  audioOutput: paths('output_tokens_details.audio_tokens'),
  total: paths('total_tokens'),
};

const OPENAI_REALTIME: UsageShape = {
  name: 'openai_realtime',
  types: 'openai@6.49.0 RealtimeResponseUsage, Transcription.Tokens',
  provider: 'openai',
  variant: true,
  wholes: ['input_tokens', 'output_tokens'],
  marks: ['input_token_details', 'output_token_details'],
  input: paths('input_tokens'),
  output: paths('output_tokens'),
  cached: paths('input_token_details.cached_tokens'),
  audioInput: paths('input_token_details.audio_tokens'),
  audioCached: paths('input_token_details.cached_tokens_details.audio_tokens'),
  audioOutput: paths('output_token_details.audio_tokens'),
  total: paths('total_tokens'),
};

/** Billed by its length: there are no tokens, which is not the same as none. */
const OPENAI_DURATION: UsageShape = {
  name: 'openai_duration',
  types: 'openai@6.49.0 Transcription.Duration',
  wholes: ['seconds'],
  marks: [],
  accepts: ({ type }) => type === 'duration',
  input: [],
  output: [],
};

const ANTHROPIC: UsageShape = {
  name: 'anthropic',
  types: '@anthropic-ai/sdk@1.14.0 Usage, MessageDeltaUsage, BetaUsage',
  provider: 'anthropic',
  wholes: ['input_tokens', 'output_tokens'],
  marks: [
    'cache_read_input_tokens',
    'cache_creation_input_tokens',
    'cache_creation',
    'server_tool_use',
    'inference_geo',
    'iterations',
  ],
  ignored: ['output_tokens_details', 'service_tier', 'speed'],
  input: paths('input_tokens'),
  besideInput: [paths('cache_read_input_tokens'), paths('cache_creation_input_tokens')],
  output: paths('output_tokens'),
  cached: paths('cache_read_input_tokens'),
  cacheWrite: paths('cache_creation_input_tokens'),
  reasoning: paths('output_tokens_details.thinking_tokens'),
  adjust: addCompactions,
};

/** What was used to compact a context is in the list alone; the other entries are in the counts beside it. */
function addCompactions(counts: Counts, found: TokenCounts): boolean {
  const { iterations } = counts.usage;
  if (iterations === undefined || iterations === null) return true;
  if (!Array.isArray(iterations)) {
    counts.refuse(['iterations'], 'must be an array');
    return true;
  }
  for (const [index, iteration] of iterations.entries()) {
    if (!isMembers(iteration) || iteration.type !== 'compaction') continue;
    const count = (name: string) =>
      iteration[name] == null ? 0 : (counts.count(iteration[name], ['iterations', String(index), name]) ?? 0);
    const read = count('cache_read_input_tokens');
    const written = count('cache_creation_input_tokens');
    if (found.inputTokens !== null) found.inputTokens += count('input_tokens') + read + written;
    if (found.outputTokens !== null) found.outputTokens += count('output_tokens');
    if (read > 0) found.cachedInputTokens = (found.cachedInputTokens ?? 0) + read;
    if (written > 0) found.cacheWriteTokens = (found.cacheWriteTokens ?? 0) + written;
  }
  return true;
}

const GEMINI: UsageShape = {
  name: 'gemini',
  types: '@google/genai@2.32.0 GenerateContentResponseUsageMetadata, UsageMetadata (Live)',
  provider: 'gcp.gen_ai', // Gemini's own API, or Vertex AI
  wholes: ['promptTokenCount', 'candidatesTokenCount', 'responseTokenCount', 'totalTokenCount'],
  marks: [],
  ignored: ['cacheTokensDetails'],
  input: paths('promptTokenCount'),
  besideInput: [paths('toolUsePromptTokenCount')],
  output: paths('candidatesTokenCount', 'responseTokenCount'),
  besideOutput: [paths('thoughtsTokenCount')],
  cached: paths('cachedContentTokenCount'),
  reasoning: paths('thoughtsTokenCount'),
  total: paths('totalTokenCount'),
  zerosLeftOut: true,
  adjust(counts, found) {
    const prompt = counts.ofKind(PROMPT_DETAILS, AUDIO);
    const tools = counts.ofKind(TOOL_DETAILS, AUDIO);
    const cached = counts.ofKind(CACHE_DETAILS, AUDIO);
    if (prompt !== null || tools !== null) {
      found.audioInputTokens = Math.max(0, (prompt ?? 0) + (tools ?? 0) - (cached ?? 0));
    }
    found.audioOutputTokens = counts.ofKind(OUTPUT_DETAILS, AUDIO);
    return true;
  },
};
const PROMPT_DETAILS = paths('promptTokensDetails');
const TOOL_DETAILS = paths('toolUsePromptTokensDetails');
const CACHE_DETAILS = paths('cacheTokensDetails');
const OUTPUT_DETAILS = paths('candidatesTokensDetails', 'responseTokensDetails');

const GEMINI_INTERACTIONS: UsageShape = {
  name: 'gemini_interactions',
  types: '@google/genai@2.32.0 Interactions.Usage',
  provider: 'gcp.gen_ai', // Gemini's own API, or Vertex AI
  wholes: ['total_input_tokens', 'total_output_tokens'],
  marks: [],
  ignored: ['cached_tokens_by_modality'],
  input: paths('total_input_tokens'),
  besideInput: [paths('total_tool_use_tokens')],
  output: paths('total_output_tokens'),
  besideOutput: [paths('total_thought_tokens')],
  cached: paths('total_cached_tokens'),
  reasoning: paths('total_thought_tokens'),
  total: paths('total_tokens'),
  totalHasMore: true, // "other internal tokens"
  adjust(counts, found) {
    const input = counts.ofKind(INPUT_BY_MODALITY, AUDIO_OF_INTERACTION);
    const tools = counts.ofKind(TOOLS_BY_MODALITY, AUDIO_OF_INTERACTION);
    const cached = counts.ofKind(CACHED_BY_MODALITY, AUDIO_OF_INTERACTION);
    if (input !== null || tools !== null) {
      found.audioInputTokens = Math.max(0, (input ?? 0) + (tools ?? 0) - (cached ?? 0));
    }
    found.audioOutputTokens = counts.ofKind(OUTPUT_BY_MODALITY, AUDIO_OF_INTERACTION);
    return true;
  },
};
const INPUT_BY_MODALITY = paths('input_tokens_by_modality');
const TOOLS_BY_MODALITY = paths('tool_use_tokens_by_modality');
const CACHED_BY_MODALITY = paths('cached_tokens_by_modality');
const OUTPUT_BY_MODALITY = paths('output_tokens_by_modality');

/** What includes what is not in the types; AWS's guide (prompt caching) says: input = inputTokens + read + written. */
const BEDROCK_CONVERSE: UsageShape = {
  name: 'bedrock_converse',
  types: '@aws-sdk/client-bedrock-runtime@3.1164.0 TokenUsage',
  provider: 'aws.bedrock',
  wholes: ['inputTokens', 'outputTokens'],
  marks: ['cacheReadInputTokens', 'cacheWriteInputTokens', 'cacheDetails'],
  input: paths('inputTokens'),
  besideInput: [paths('cacheReadInputTokens'), paths('cacheWriteInputTokens')],
  output: paths('outputTokens'),
  cached: paths('cacheReadInputTokens'),
  cacheWrite: paths('cacheWriteInputTokens'),
  total: paths('totalTokens'),
};

const MISTRAL: UsageShape = {
  ...OPENAI_CHAT,
  name: 'mistral',
  types: '@mistralai/mistralai@2.7.0 UsageInfo, ConversationUsageInfo',
  provider: 'mistral_ai',
  variant: true,
  marks: [
    'prompt_audio_seconds',
    'promptAudioSeconds',
    'num_cached_tokens',
    'numCachedTokens',
    'prompt_token_details',
    'promptTokenDetails',
    'connector_tokens',
    'connectorTokens',
    'request_count',
    'requestCount',
  ],
  cached: paths(
    'num_cached_tokens',
    'numCachedTokens',
    'prompt_tokens_details.cached_tokens',
    'promptTokensDetails.cachedTokens',
    'prompt_token_details.cached_tokens',
    'promptTokenDetails.cachedTokens',
  ),
  adjust: placeConnectors,
};
const CONNECTORS = paths('connector_tokens', 'connectorTokens');

/** Whether the tokens of connectors are in those of the prompt is not said: the total has to. */
function placeConnectors(counts: Counts, found: TokenCounts): boolean {
  const connectors = counts.first(CONNECTORS) ?? 0;
  if (connectors === 0) return true;
  const total = counts.first(OPENAI_CHAT.total);
  if (total === null || found.inputTokens === null) return false;
  const rest = total - found.inputTokens - (found.outputTokens ?? 0);
  if (rest === connectors) found.inputTokens += connectors;
  return rest === connectors || rest === 0;
}

const GROQ: UsageShape = {
  ...OPENAI_CHAT,
  name: 'groq',
  types: 'groq-sdk@1.6.0 CompletionUsage',
  provider: 'groq',
  variant: true,
  marks: ['queue_time', 'prompt_time', 'completion_time', 'total_time'],
};

const SEEN_INPUT = paths('tokens.input_tokens', 'tokens.inputTokens');
const SEEN_OUTPUT = paths('tokens.output_tokens', 'tokens.outputTokens');

/** Of its two counts the one of what the model saw; what is charged stays beside it. */
const COHERE: UsageShape = {
  name: 'cohere',
  types: 'cohere-ai@8.1.0 Usage (v2)',
  provider: 'cohere',
  wholes: ['tokens', 'billed_units', 'billedUnits'],
  marks: [],
  accepts: (usage) =>
    isMembers(usage.tokens) || isMembers(usage.billed_units) || isMembers(usage.billedUnits),
  input: [...SEEN_INPUT, ...paths('billed_units.input_tokens', 'billedUnits.inputTokens')],
  output: [...SEEN_OUTPUT, ...paths('billed_units.output_tokens', 'billedUnits.outputTokens')],
  cached: paths('cached_tokens', 'cachedTokens'),
  adjust: takeOneCount,
};

/** Input of the one count and output of the other are no call. */
function takeOneCount(counts: Counts, found: TokenCounts): boolean {
  const input = counts.first(SEEN_INPUT);
  const output = counts.first(SEEN_OUTPUT);
  if (input !== null || output !== null) {
    found.inputTokens = input;
    found.outputTokens = output;
  }
  return true;
}

const AI_SDK: UsageShape = {
  name: 'ai_sdk',
  types: 'ai@6.0.326, ai@7.0.173 LanguageModelUsage',
  wholes: ['inputTokens', 'outputTokens', 'inputTokenDetails', 'outputTokenDetails'],
  marks: ['inputTokenDetails', 'outputTokenDetails'],
  ignored: ['cachedInputTokens'],
  input: paths('inputTokens'),
  output: paths('outputTokens'),
  cached: paths('inputTokenDetails.cacheReadTokens'),
  cacheWrite: paths('inputTokenDetails.cacheWriteTokens'),
  reasoning: paths('outputTokenDetails.reasoningTokens', 'reasoningTokens'),
  total: paths('totalTokens'),
  // Of versions before 6, whose input includes what was cached with some providers and not with others.
  adjust: (counts) =>
    isMembers(counts.usage.inputTokenDetails) || !((counts.first(CACHED_BEFORE_6) ?? 0) > 0),
};
const CACHED_BEFORE_6 = paths('cachedInputTokens');

/** A variant comes before what it varies: where both say the same, it is named. */
export const SHAPES: readonly UsageShape[] = [
  OPENAI_CHAT,
  OPENAI_REALTIME,
  OPENAI_RESPONSES,
  OPENAI_DURATION,
  ANTHROPIC,
  GEMINI,
  GEMINI_INTERACTIONS,
  AI_SDK,
  BEDROCK_CONVERSE,
  MISTRAL,
  COHERE,
  GROQ,
];

const OPENAI = [OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_REALTIME, OPENAI_DURATION];

/** Which shapes a provider answers in, by its names. The AI SDK has one shape for all of them. */
export const SHAPES_OF_PROVIDER: ReadonlyMap<string, readonly UsageShape[]> = new Map(
  (
    [
      [['openai', 'azure.ai.openai', 'az.ai.openai', 'azure_openai', 'azure'], OPENAI],
      [['anthropic'], [ANTHROPIC]],
      [
        ['google', 'gemini', 'gcp.gemini', 'google_genai'],
        [GEMINI, GEMINI_INTERACTIONS],
      ],
      [
        ['gcp.vertex_ai', 'vertex_ai', 'gcp.gen_ai'],
        [GEMINI, GEMINI_INTERACTIONS, ANTHROPIC],
      ],
      [
        ['aws.bedrock', 'bedrock', 'aws_bedrock', 'amazon-bedrock'],
        [BEDROCK_CONVERSE, ANTHROPIC],
      ],
      [['mistral_ai', 'mistral'], [MISTRAL]],
      [['cohere'], [COHERE]],
      [['groq'], [GROQ, OPENAI_RESPONSES]],
    ] as [string[], UsageShape[]][]
  ).flatMap(([names, shapes]) => names.map((name) => [name, [...shapes, AI_SDK]])),
);
