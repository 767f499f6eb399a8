import { COUNTS, KINDS, LANGFUSE_USAGE, TEXTS } from './conventions.ts';
import type { Attributes } from './otlpItem.ts';

/** Operations of OpenTelemetry's conventions that are one call of a model each. */
const CALLS = new Set(['chat', 'text_completion', 'generate_content', 'embeddings']);
/** Those that call models, tools or stores by spans of their own: what they repeat of usage is a sum. */
const WRAPPERS = new Set(['invoke_agent', 'create_agent', 'invoke_workflow', 'execute_tool', 'retrieval']);

/** The last word of an operation of the AI SDK that is a call; the others are around calls, or call no model. */
const OF_AI_SDK: Readonly<Record<string, string>> = {
  doGenerate: 'chat',
  doStream: 'chat',
  doEmbed: 'embeddings',
};
const OF_OPENINFERENCE: Readonly<Record<string, string>> = { LLM: 'chat', EMBEDDING: 'embeddings' };
const OF_LANGFUSE: Readonly<Record<string, string>> = { generation: 'chat', embedding: 'embeddings' };
const OF_TRACELOOP: Readonly<Record<string, string>> = {
  chat: 'chat',
  completion: 'text_completion',
  embedding: 'embeddings',
};

/** Of a call whose operation has no name that is known. */
const SOME_CALL = 'call';

const TOKENS: readonly number[] = [...COUNTS.input, ...COUNTS.output, ...COUNTS.total, LANGFUSE_USAGE];

/**
 * Which operation of a model a span or log record tells of, by OpenTelemetry's names; null: none, so that it is no usage.
 * Spans around calls (`invoke_agent`, `ai.generateText` and their like) are none, whatever tokens they have.
 */
export function operationOf(attributes: Attributes): string | null {
  // The AI SDK first: its calls have OpenTelemetry's attributes besides, and its wrappers those of calls.
  const aiSdk = attributes[KINDS.aiSdk];
  if (typeof aiSdk === 'string') return known(OF_AI_SDK, aiSdk.slice(aiSdk.lastIndexOf('.') + 1));
  const operation = attributes[KINDS.operation];
  if (typeof operation === 'string' && operation !== '') {
    if (CALLS.has(operation)) return operation;
    return !WRAPPERS.has(operation) && hasUsage(attributes) ? SOME_CALL : null;
  }
  const openInference = attributes[KINDS.openInference];
  if (typeof openInference === 'string') return known(OF_OPENINFERENCE, openInference.toUpperCase());
  const langfuse = attributes[KINDS.langfuse];
  if (typeof langfuse === 'string') return known(OF_LANGFUSE, langfuse);
  const traceloop = attributes[KINDS.traceloop];
  if (typeof traceloop === 'string') return known(OF_TRACELOOP, traceloop);
  return attributes[TEXTS.responseId[0]!] !== undefined || hasUsage(attributes) ? SOME_CALL : null;
}

function known(names: Readonly<Record<string, string>>, name: string): string | null {
  return Object.hasOwn(names, name) ? names[name]! : null;
}

function hasUsage(attributes: Attributes): boolean {
  for (const attribute of TOKENS) if (attributes[attribute] !== undefined) return true;
  return false;
}
