import { isStorableText } from '../../../model/text.ts';
import {
  type DialectRules,
  type Draft,
  type EventRules,
  type EventVerdict,
  finishEvent,
} from '../finishEvent.ts';
import { MAX_ID, MAX_LATENCY_MS } from '../nativeEvent.ts';
import { providerNameOf } from '../providerNames.ts';
import { type Call, identityOf, textOf } from './call.ts';
import { TEXTS, type Wanted } from './conventions.ts';
import type { Attributes, AttributeValue, OtlpItem } from './otlpItem.ts';
import type { TokenCounts } from './spanUsage.ts';

/** How the customer of a tenant's calls is found. */
export interface CustomerRule {
  /** Keys of attributes, of the span or else of its resource; the first one that is there counts. */
  attributes: readonly string[];
  /** Whom a call is of that has none of them; null: it is refused. */
  otherwise: string | null;
}

const RULES: DialectRules = {
  pointers: {
    tenantId: '',
    timestamp: '/endTimeUnixNano',
    apiEndpoint: '',
    sessionId: '/attributes',
    value: '',
    metadata: '/attributes',
  },
  positive: false,
  anyEndpoint: true,
};

/** Of nanoseconds since the epoch, from 2001 to 2286. */
const DIGITS = 19;
/** Longest text of an error, in UTF-16 code units. */
const MAX_ERROR = 256;

/**
 * Turns a call into the event that is stored.
 *
 * @param wanted the attributes that were read of it.
 * @param index position among the calls of the export, repeated in every fault.
 */
export function callToEvent(
  call: Call,
  customer: CustomerRule,
  wanted: Wanted,
  rules: EventRules,
  index: number,
): EventVerdict {
  const { item, attributes, operation } = call;
  const identity = identityOf(call);
  const customerId = customerOf(call, wanted) ?? customer.otherwise ?? undefined;
  const model = textOf(attributes, TEXTS.responseModel) ?? textOf(attributes, TEXTS.requestModel);
  const faults = [...call.faults];
  const fault = (pointer: string, code: string, message: string) => faults.push({ pointer, code, message });
  if (identity === null) fault('/spanId', 'required', 'a span must have a traceId and a spanId');
  else if (rules.checkText && call.responseId !== null && !isStorableText(call.responseId)) {
    fault('/attributes', 'text_invalid', 'has a response id with NUL or unpaired surrogates');
  }
  if (item.end === '' || item.end === '0')
    fault('/endTimeUnixNano', 'required', 'is required: the time of the call');
  if (customerId === undefined) {
    fault('/attributes', 'customer_missing', `has no customer; set one of ${customer.attributes.join(', ')}`);
  } else if (customerId.length > MAX_ID) {
    fault('/attributes', 'too_long', `names a customer of more than ${MAX_ID} characters`);
  }
  if (model !== undefined && model.length > MAX_ID) {
    fault('/attributes', 'too_long', `names a model of more than ${MAX_ID} characters`);
  }
  if (faults.length > 0) return { faults: faults.map((one) => ({ index, ...one })) };
  const session = textOf(attributes, TEXTS.session);
  const draft: Draft = {
    timestamp: item.end,
    customerId: customerId!,
    eventType: `gen_ai.${operation}`,
    sourceId: cut(textOf(item.resource, TEXTS.service)),
    reference: session !== undefined && session.length <= MAX_ID ? session : undefined,
    metadata: metadataOf(call, model),
  };
  return finishEvent(draft, identity!, rules, index, draft, RULES);
}

function customerOf({ attributes, item }: Call, { customer }: Wanted): string | undefined {
  for (const attribute of customer) {
    const named = scalar(attributes[attribute]) ?? scalar(item.resource[attribute]);
    if (named !== undefined) return named;
  }
  return undefined;
}

function scalar(value: AttributeValue | undefined): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined;
}

/** One shape for all, whatever is undefined in it: such members cost less than those that are set one by one. */
function metadataOf({ item, attributes, usage }: Call, model: string | undefined): Draft['metadata'] {
  const { counts } = usage;
  return {
    model,
    inputTokens: counts.input,
    outputTokens: counts.output,
    tokens: totalOf(counts),
    latencyMs: latencyOf(item),
    provider: providerOf(attributes),
    usageStatus: usage.status,
    cachedInputTokens: counts.cachedInput,
    cacheWriteTokens: counts.cacheWrite,
    audioInputTokens: uncachedAudio(counts),
    reasoningTokens: counts.reasoning,
    audioOutputTokens: counts.audioOutput,
    requestModel: different(textOf(attributes, TEXTS.requestModel), model),
    finishReason: textOf(attributes, TEXTS.finishReason),
    agent: cut(textOf(attributes, TEXTS.agent)),
    error: errorOf(item, attributes),
    traceId: item.traceId ?? undefined,
    spanId: item.spanId ?? undefined,
  };
}

/** As it is told, unless it is less than what is known; undefined where nothing is told of all. */
function totalOf({ input, output, total }: TokenCounts): number | undefined {
  if (total === undefined) return undefined; // the sum of both, as of every event
  return Math.max(total, (input ?? 0) + (output ?? 0));
}

/** Audio that was cached counts as cached: parts are apart. */
function uncachedAudio({
  input,
  cachedInput = 0,
  cacheWrite = 0,
  audioInput,
}: TokenCounts): number | undefined {
  if (audioInput === undefined || input === undefined) return audioInput;
  return Math.min(audioInput, input - cachedInput - cacheWrite);
}

/** Milliseconds, to the microsecond; undefined where the times are no span of time. */
function latencyOf({ start, end }: OtlpItem): number | undefined {
  if (start.length !== DIGITS || end.length !== DIGITS) return undefined;
  const seconds = Number(end.slice(0, -9)) - Number(start.slice(0, -9));
  const nanos = Number(end.slice(-9)) - Number(start.slice(-9));
  const ms = Math.round(seconds * 1_000_000 + nanos / 1_000) / 1_000;
  return ms >= 0 && ms <= MAX_LATENCY_MS ? ms : undefined;
}

/** What the AI SDK has behind the provider: which of its models' interfaces it was. */
const INTERFACE = /\.(?:chat|responses|messages|completion|embedding)$/;

function providerOf(attributes: Attributes): string | undefined {
  const named = textOf(attributes, TEXTS.provider)?.toLowerCase().replace(INTERFACE, '');
  if (named === undefined || named === '') return undefined;
  return cut(providerNameOf(named));
}

function different(text: string | undefined, from: string | undefined): string | undefined {
  return text === from ? undefined : cut(text);
}

function errorOf(item: OtlpItem, attributes: Attributes): string | undefined {
  const type = textOf(attributes, TEXTS.errorType);
  if (!item.failed && type === undefined) return undefined;
  return cut(type ?? (item.statusMessage || 'error'), MAX_ERROR);
}

/** The beginning of a text, which is no half of a surrogate pair either. @param length in UTF-16 code units. */
function cut(text: string | undefined, length = MAX_ID): string | undefined {
  if (text === undefined || text.length <= length) return text;
  const isPair = (text.codePointAt(length - 1) ?? 0) > 0xffff;
  return text.slice(0, isPair ? length - 1 : length);
}
