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

/** The names so far, and the number of each: where its value is among the attributes of an item. */
const names: string[] = [];
const numbers = new Map<string, number>();

/** The numbers of attributes by their names. */
function numbered(...some: string[]): readonly number[] {
  return some.map(one);
}

function one(name: string): number {
  const known = numbers.get(name);
  if (known !== undefined) return known;
  numbers.set(name, names.length);
  return names.push(name) - 1;
}

/** Texts: attributes by what they say. */
export const TEXTS = {
  responseId: numbered('gen_ai.response.id', 'ai.response.id', 'llm.response.id'),
  responseModel: numbered(
    'gen_ai.response.model',
    'ai.response.model',
    'llm.model_name',
    'embedding.model_name',
    'langfuse.observation.model.name',
  ),
  requestModel: numbered('gen_ai.request.model', 'ai.model.id'),
  provider: numbered(
    'gen_ai.provider.name',
    'gen_ai.system',
    'llm.provider',
    'llm.system',
    'ai.model.provider',
  ),
  errorType: numbered('error.type', 'exception.type'),
  session: numbered('gen_ai.conversation.id', 'session.id', 'langfuse.session.id'),
  agent: numbered('gen_ai.agent.name', 'ai.telemetry.functionId'),
  finishReason: numbered('gen_ai.response.finish_reasons', 'ai.response.finishReason', 'llm.finish_reason'),
  service: numbered('service.name'),
};

/** Counts of tokens: attributes by what they count. */
export const COUNTS = {
  input: numbered(
    'gen_ai.usage.input_tokens',
    'gen_ai.usage.prompt_tokens',
    'llm.token_count.prompt',
    'ai.usage.inputTokens',
    'ai.usage.promptTokens',
    'ai.usage.tokens', // of ai.embed: all that there is
    'llm.usage.prompt_tokens',
  ),
  output: numbered(
    'gen_ai.usage.output_tokens',
    'gen_ai.usage.completion_tokens',
    'llm.token_count.completion',
    'ai.usage.outputTokens',
    'ai.usage.completionTokens',
    'llm.usage.completion_tokens',
  ),
  total: numbered(
    'gen_ai.usage.total_tokens',
    'llm.token_count.total',
    'ai.usage.totalTokens',
    'llm.usage.total_tokens',
  ),
  cachedInput: numbered(
    'gen_ai.usage.cache_read.input_tokens',
    'gen_ai.usage.cache_read_input_tokens',
    'llm.token_count.prompt_details.cache_read',
    'ai.usage.inputTokenDetails.cacheReadTokens',
    'ai.usage.cachedInputTokens',
  ),
  cacheWrite: numbered(
    'gen_ai.usage.cache_creation.input_tokens',
    'gen_ai.usage.cache_creation_input_tokens',
    'llm.token_count.prompt_details.cache_write',
    'ai.usage.inputTokenDetails.cacheWriteTokens',
  ),
  audioInput: numbered('llm.token_count.prompt_details.audio'),
  reasoning: numbered(
    'gen_ai.usage.reasoning.output_tokens',
    'gen_ai.usage.reasoning_tokens',
    'llm.token_count.completion_details.reasoning',
    'ai.usage.outputTokenDetails.reasoningTokens',
    'ai.usage.reasoningTokens',
  ),
  audioOutput: numbered('llm.token_count.completion_details.audio'),
};

/** Usage as a text of JSON, its parts beside input and output. */
export const LANGFUSE_USAGE = one('langfuse.observation.usage_details');

/** What says which kind of operation it was. */
export const KINDS = {
  /** OpenTelemetry's own. */
  operation: one('gen_ai.operation.name'),
  aiSdk: one('ai.operationId'),
  openInference: one('openinference.span.kind'),
  langfuse: one('langfuse.observation.type'),
  traceloop: one('llm.request.type'),
};

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

/** The attributes that are read of a tenant's spans. */
export interface Wanted {
  /** By their keys. */
  numbers: ReadonlyMap<string, number>;
  /** Those that name the customer, in the order of the tenant's list. */
  customer: readonly number[];
}

const wanted = new WeakMap<readonly string[], Wanted>();

/** The attributes that are read: the same object for the same list. @param customer keys of those of the customer. */
export function wantedAttributes(customer: readonly string[]): Wanted {
  let made = wanted.get(customer);
  if (!made) {
    const all = new Map(numbers);
    for (const key of customer) if (!all.has(key)) all.set(key, all.size);
    made = { numbers: all, customer: customer.map((key) => all.get(key)!) };
    wanted.set(customer, made);
  }
  return made;
}

/** The key of one of the attributes above. */
export function attributeKey(attribute: number): string {
  return names[attribute]!;
}
