import type { EventFault } from '../../../model/errors.ts';
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
import { FINISH_REASONS, SERVICE_NAME, TEXTS } from './conventions.ts';
import type { Attributes, OtlpItem } from './otlpItem.ts';
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
 * @param index position among the calls of the export, repeated in every fault.
 */
export function callToEvent(
  call: Call,
  customer: CustomerRule,
  rules: EventRules,
  index: number,
): EventVerdict {
  const { item, attributes, operation } = call;
  const faults: EventFault[] = call.faults.map((fault) => ({ index, ...fault }));
  const fault = (pointer: string, code: string, message: string) =>
    faults.push({ index, pointer, code, message });
  const identity = identityOf(call);
  if (identity === null) fault('/spanId', 'required', 'a span must have a traceId and a spanId');
  if (item.end === '' || item.end === '0')
    fault('/endTimeUnixNano', 'required', 'is required: the time of the call');
  const customerId = customerOf(call, customer);
  if (customerId === undefined) {
    fault('/attributes', 'customer_missing', `has no customer; set one of ${customer.attributes.join(', ')}`);
  } else if (customerId.length > MAX_ID) {
    fault('/attributes', 'too_long', `names a customer of more than ${MAX_ID} characters`);
  }
  const model = textOf(attributes, TEXTS.responseModel) ?? textOf(attributes, TEXTS.requestModel);
  if (model !== undefined && model.length > MAX_ID) {
    fault('/attributes', 'too_long', `names a model of more than ${MAX_ID} characters`);
  }
  if (faults.length > 0) return { faults };
  const draft: Draft = {
    timestamp: item.end,
    customerId: customerId!,
    eventType: `gen_ai.${operation}`,
    metadata: metadataOf(call, model),
  };
  const service = textOf(item.resource, [SERVICE_NAME]);
  if (service !== undefined) draft.sourceId = service.slice(0, MAX_ID);
  const session = textOf(attributes, TEXTS.session);
  if (session !== undefined && session.length <= MAX_ID) draft.reference = session;
  return finishEvent(draft, identity!, rules, index, draft, RULES);
}

function customerOf({ attributes, item }: Call, rule: CustomerRule): string | undefined {
  for (const name of rule.attributes) {
    const customer = scalar(attributes, name) ?? scalar(item.resource, name);
    if (customer !== undefined) return customer;
  }
  return rule.otherwise ?? undefined;
}

function scalar(attributes: Attributes, name: string): string | undefined {
  const value = attributes[name];
  const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
  return isScalar && value !== '' ? String(value) : undefined;
}

function metadataOf({ item, attributes, usage }: Call, model: string | undefined): Draft['metadata'] {
  const { counts } = usage;
  const metadata: Record<string, unknown> = {};
  const set = (name: string, value: string | number | undefined) => {
    if (value !== undefined) metadata[name] = value;
  };
  set('model', model);
  set('inputTokens', counts.input);
  set('outputTokens', counts.output);
  set('tokens', totalOf(counts));
  set('latencyMs', latencyOf(item));
  set('provider', providerOf(attributes));
  set('usageStatus', usage.status);
  set('cachedInputTokens', counts.cachedInput);
  set('cacheWriteTokens', counts.cacheWrite);
  set('audioInputTokens', uncachedAudio(counts));
  set('reasoningTokens', counts.reasoning);
  set('audioOutputTokens', counts.audioOutput);
  set('requestModel', different(textOf(attributes, TEXTS.requestModel), model));
  set('finishReason', textOf(attributes, FINISH_REASONS));
  set('agent', textOf(attributes, TEXTS.agent)?.slice(0, MAX_ID));
  set('error', errorOf(item, attributes));
  set('traceId', item.traceId ?? undefined);
  set('spanId', item.spanId ?? undefined);
  return metadata;
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
  return providerNameOf(named).slice(0, MAX_ID);
}

function different(text: string | undefined, from: string | undefined): string | undefined {
  return text === from ? undefined : text?.slice(0, MAX_ID);
}

function errorOf(item: OtlpItem, attributes: Attributes): string | undefined {
  const type = textOf(attributes, TEXTS.errorType);
  if (!item.failed && type === undefined) return undefined;
  return (type ?? (item.statusMessage || 'error')).slice(0, MAX_ERROR);
}
