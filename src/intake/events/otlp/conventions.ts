/*
 * What emitters call the same thing, the most telling name first. Where an attribute is there under several names, the
 * first one counts.
 *
 * gen_ai.*                  OpenTelemetry's conventions for generative AI, as of @opentelemetry/semantic-conventions 1.45.0,
 *                           and the names they had before
 * gen_ai.usage.cache_read_… Traceloop's own (@traceloop/ai-semantic-conventions, 0.27.0)
 * llm.*, embedding.*        OpenInference (@arizeai/openinference-instrumentation-openai 4.2.7); llm.usage.* and
 *                           llm.request.type: earlier versions of Traceloop's
 * ai.*                      Vercel AI SDK 5 and 6 (ai 6.0.326), and LegacyOpenTelemetry of 7
 * langfuse.*                @langfuse/openai 5.11.1
 */

/** Texts: attributes by what they say. */
export const TEXTS = {
  responseId: ['gen_ai.response.id', 'ai.response.id', 'llm.response.id'],
  responseModel: [
    'gen_ai.response.model',
    'ai.response.model',
    'llm.model_name',
    'embedding.model_name',
    'langfuse.observation.model.name',
  ],
  requestModel: ['gen_ai.request.model', 'ai.model.id'],
  provider: ['gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system', 'ai.model.provider'],
  errorType: ['error.type', 'exception.type'],
  session: ['gen_ai.conversation.id', 'session.id', 'langfuse.session.id'],
  agent: ['gen_ai.agent.name', 'ai.telemetry.functionId'],
} as const;

/** Counts of tokens: attributes by what they count. */
export const COUNTS = {
  input: [
    'gen_ai.usage.input_tokens',
    'gen_ai.usage.prompt_tokens',
    'llm.token_count.prompt',
    'ai.usage.inputTokens',
    'ai.usage.promptTokens',
    'ai.usage.tokens', // of ai.embed: all that there is
    'llm.usage.prompt_tokens',
  ],
  output: [
    'gen_ai.usage.output_tokens',
    'gen_ai.usage.completion_tokens',
    'llm.token_count.completion',
    'ai.usage.outputTokens',
    'ai.usage.completionTokens',
    'llm.usage.completion_tokens',
  ],
  total: [
    'gen_ai.usage.total_tokens',
    'llm.token_count.total',
    'ai.usage.totalTokens',
    'llm.usage.total_tokens',
  ],
  cachedInput: [
    'gen_ai.usage.cache_read.input_tokens',
    'gen_ai.usage.cache_read_input_tokens',
    'llm.token_count.prompt_details.cache_read',
    'ai.usage.inputTokenDetails.cacheReadTokens',
    'ai.usage.cachedInputTokens',
  ],
  cacheWrite: [
    'gen_ai.usage.cache_creation.input_tokens',
    'gen_ai.usage.cache_creation_input_tokens',
    'llm.token_count.prompt_details.cache_write',
    'ai.usage.inputTokenDetails.cacheWriteTokens',
  ],
  audioInput: ['llm.token_count.prompt_details.audio'],
  reasoning: [
    'gen_ai.usage.reasoning.output_tokens',
    'gen_ai.usage.reasoning_tokens',
    'llm.token_count.completion_details.reasoning',
    'ai.usage.outputTokenDetails.reasoningTokens',
    'ai.usage.reasoningTokens',
  ],
  audioOutput: ['llm.token_count.completion_details.audio'],
} as const;

/** Usage as a text of JSON, its parts beside input and output. */
export const LANGFUSE_USAGE = 'langfuse.observation.usage_details';

/** What says which kind of operation it was. */
export const KINDS = {
  /** OpenTelemetry's own. */
  operation: 'gen_ai.operation.name',
  aiSdk: 'ai.operationId',
  openInference: 'openinference.span.kind',
  langfuse: 'langfuse.observation.type',
  traceloop: 'llm.request.type',
} as const;

/** Why the answer ended. */
export const FINISH_REASONS = [
  'gen_ai.response.finish_reasons',
  'ai.response.finishReason',
  'llm.finish_reason',
] as const;

export const SERVICE_NAME = 'service.name';

/** Where the customer is looked for, in this order, for tenants that have said nothing else. */
export const CUSTOMER_ATTRIBUTES: readonly string[] = [
  'tidemark.customer.id',
  'user.id',
  'enduser.id',
  'ai.telemetry.metadata.userId',
  'ai.telemetry.metadata.customerId',
  'langfuse.user.id',
  'traceloop.association.properties.user_id',
];

const EVERY: readonly string[] = [
  ...Object.values(TEXTS).flat(),
  ...Object.values(COUNTS).flat(),
  ...Object.values(KINDS),
  ...FINISH_REASONS,
  LANGFUSE_USAGE,
  SERVICE_NAME,
];

const wanted = new WeakMap<readonly string[], ReadonlySet<string>>();

/** The keys of all attributes that are read: one set for one list. @param customer those of the customer. */
export function wantedAttributes(customer: readonly string[]): ReadonlySet<string> {
  let keys = wanted.get(customer);
  if (!keys) {
    keys = new Set([...EVERY, ...customer]);
    wanted.set(customer, keys);
  }
  return keys;
}
