import { type EventIdentity, identify } from '../../../model/eventId.ts';
import { MAX_ID } from '../nativeEvent.ts';
import { TEXTS } from './conventions.ts';
import { operationOf } from './operationOf.ts';
import { type Attributes, type OtlpItem, UNREADABLE } from './otlpItem.ts';
import { type Fault, type SpanUsage, spanUsage } from './spanUsage.ts';

/**
 * The shortest response id that tells one call from all others, in characters: those of OpenAI, Anthropic and others are
 * of 24 or more, while Ollama's (`chatcmpl-842`) are one of a thousand.
 */
const MIN_RESPONSE_ID = 16;

/** One call of a model, as one span or log record tells of it, or several that tell of the same. */
export interface Call {
  item: OtlpItem;
  /** chat, text_completion, embeddings, generate_content, or call. */
  operation: string;
  attributes: Attributes;
  /** The provider's id of the answer, where it can be an identity. */
  responseId: string | null;
  usage: SpanUsage;
  /** What is wrong with its attributes. */
  faults: Fault[];
}

/** @returns null where the item is about no call. */
export function callOf(item: OtlpItem): Call | null {
  const operation = operationOf(item.attributes);
  return operation === null ? null : newCall(item, operation, item.attributes);
}

/** Two that tell of the same call as one: what the first does not say the other says. */
export function joined(first: Call, other: Call): Call {
  const attributes = first.attributes.map((value, i) => (value === undefined ? other.attributes[i] : value));
  const item = { ...first.item, failed: first.item.failed || other.item.failed };
  const operation = first.operation === 'call' ? other.operation : first.operation;
  const call = newCall(item, operation, attributes);
  call.responseId = first.responseId ?? other.responseId;
  return call;
}

/** The identity of its event. Null: it has neither a response id nor the ids of a span. */
export function identityOf({ responseId, item: { traceId, spanId } }: Call): EventIdentity | null {
  if (responseId !== null) return identify(responseId);
  return traceId === null || spanId === null ? null : identify(`${traceId}-${spanId}`);
}

function newCall(item: OtlpItem, operation: string, attributes: Attributes): Call {
  const faults: Fault[] = [];
  const usage = spanUsage(attributes, (fault) => faults.push(fault));
  const id = textOf(attributes, TEXTS.responseId);
  const responseId = id !== undefined && id.length >= MIN_RESPONSE_ID && id.length <= MAX_ID ? id : null;
  return { item, operation, attributes, responseId, usage, faults };
}

/** The first of the attributes that is there, as a text; undefined: none is, or it is empty or no scalar. */
export function textOf(attributes: Attributes, from: readonly number[]): string | undefined {
  for (const attribute of from) {
    const value = attributes[attribute];
    if (value === undefined || value === UNREADABLE || value === '') continue;
    const text = Array.isArray(value) ? value[0] : String(value);
    if (text) return text;
  }
  return undefined;
}
