import { isNotZero, isPositive, parseDecimal } from '../../model/decimal.ts';
import type { EventFault } from '../../model/errors.ts';
import { type EventIdentity, identify } from '../../model/eventId.ts';
import { isDoubtful, stringifyJson } from '../../model/json.ts';
import { findUnstorableText } from '../../model/text.ts';
import { parseTimestamp, timestampFault } from '../../model/timestamp.ts';
import { COUNTER_INCREMENT, DEFAULT_EVENT_TYPE, type UsageEvent } from '../../model/usageEvent.ts';
import {
  isEventOfStream,
  type NormalisedUsage,
  normaliseUsage,
  USAGE_MEMBERS,
} from './aiUsage/normaliseUsage.ts';
import { MAX_NUMBER_DIGITS, MetadataWalk } from './metadataWalk.ts';
import { METADATA_FIELDS, type NativeEvent } from './nativeEvent.ts';
import { pointerTo } from './schemaFaults.ts';

/** Nesting of metadata beyond which an event is refused, in levels. */
const MAX_METADATA_DEPTH = 32;
/** Members of the metadata that have a column, and those in which there may be a usage object. */
const ROLES = new Map<string, 'column' | 'usage'>([
  ...Object.keys(METADATA_FIELDS).map((name) => [name, 'column'] as const),
  ...USAGE_MEMBERS.map((name) => [name, 'usage'] as const),
]);
/** Size of metadata that has no column beyond which an event is refused, in UTF-16 code units of JSON. */
const MAX_METADATA_LENGTH = 65_536;
/** What a usage object adds to that, which is not held against its event. */
const MAX_USAGE_MEMBERS_LENGTH = 1_024;

/** What an event is checked against. */
export interface EventRules {
  /** The tenant of the key, or null for a platform key: then every event names its own. */
  tenantId: string | null;
  /** Microseconds since the epoch; NaN: no bound. */
  earliestMicros: number;
  latestMicros: number;
  /** When the input came in, in microseconds since the epoch: the time of an event that has none of its own. */
  receivedMicros: number;
  /** The identity of an input that has none, by its position: a UUID of our own, or any text. Without it, a random UUID. */
  fallbackId?: ((index: number) => string) | undefined;
  /** That identity is an Idempotency-Key, under which another request may come. */
  idempotent?: boolean | undefined;
  /** Look for NUL and lone surrogates. May be left out where the source cannot contain any. */
  checkText: boolean;
  /** Told of a number that may be what a double has left of another. Left out where inputs are parsed exactly. */
  onDoubt?: (() => void) | undefined;
}

export type EventVerdict = { event: UsageEvent; faults?: never } | { event?: never; faults: EventFault[] };

/** An input of any dialect, in the words of the native event: its schema has passed, its content is yet to be checked. */
export type Draft = Omit<NativeEvent, 'eventId' | 'timestamp'> & {
  /** Left out: the time of receipt. */
  timestamp?: NativeEvent['timestamp'] | undefined;
  /** Members of the metadata that stay there as they are, though there is a column of their name. Left out: none. */
  misfits?: ReadonlySet<string> | undefined;
};

/** What a dialect asks for, and where its inputs have what may be wrong with a draft: JSON pointers (RFC 6901). */
export interface DialectRules {
  pointers: {
    tenantId: string;
    timestamp: string;
    apiEndpoint: string;
    sessionId: string;
    value: string;
    metadata: string;
  };
  /** Whether the value must be above 0, whatever the type. */
  positive: boolean;
  /** Whether events of every type may come without an endpoint, which clients of others know nothing of. */
  anyEndpoint?: boolean;
}

/**
 * The event that is stored, once everything but its schema has been checked too.
 *
 * @param identity or the id of a client, which it is then made of.
 * @param index position in the request, repeated in every fault.
 * @param input as it was parsed.
 */
export function finishEvent(
  draft: Draft,
  identity: EventIdentity | string,
  rules: EventRules,
  index: number,
  input: unknown,
  { pointers, positive, anyEndpoint }: DialectRules,
): EventVerdict {
  const faults: EventFault[] = [];
  const fault = (pointer: string, code: string, message: string) =>
    faults.push({ index, pointer, code, message });

  const tenantId = draft.tenantId ?? rules.tenantId;
  if (tenantId === null) fault(pointers.tenantId, 'tenant_required', 'a platform key must name the tenant');
  else if (rules.tenantId !== null && tenantId !== rules.tenantId) {
    fault(pointers.tenantId, 'tenant_mismatch', 'the key belongs to another tenant');
  }

  const tsMicros =
    draft.timestamp === undefined ? rules.receivedMicros : parseTimestamp(String(draft.timestamp));
  if (Number.isNaN(tsMicros)) {
    const code = typeof draft.timestamp === 'number' ? 'type_invalid' : 'timestamp_invalid';
    fault(pointers.timestamp, code, timestampFault(String(draft.timestamp)));
  } else if (tsMicros > rules.latestMicros) {
    fault(pointers.timestamp, 'timestamp_too_new', 'is further in the future than this service accepts');
  } else if (tsMicros < rules.earliestMicros) {
    fault(
      pointers.timestamp,
      'timestamp_too_old',
      'is older than this service accepts; use import for old data',
    );
  }

  const eventType = draft.eventType ?? DEFAULT_EVENT_TYPE;
  if (eventType === DEFAULT_EVENT_TYPE && draft.apiEndpoint === undefined && !anyEndpoint) {
    fault(pointers.apiEndpoint, 'required', `is required for ${DEFAULT_EVENT_TYPE} events`);
  }
  if (draft.reference !== undefined && draft.sessionId !== undefined && draft.reference !== draft.sessionId) {
    fault(pointers.sessionId, 'reference_conflict', 'reference and sessionId name the same thing and differ');
  }

  const value = draft.value === undefined ? null : parseDecimal(draft.value);
  if (typeof draft.value === 'number' && isDoubtful(draft.value)) rules.onDoubt?.();
  const mustBePositive = positive || eventType === COUNTER_INCREMENT;
  if (draft.value !== undefined && value === null) {
    fault(
      pointers.value,
      'value_invalid',
      'must be a decimal of at most 38 digits, 18 of them after the point',
    );
  } else if (mustBePositive && (value === null || !isPositive(value))) {
    fault(pointers.value, 'value_not_positive', 'must be above 0');
  } else if (draft.value !== undefined && value === '0' && isNotZero(draft.value)) {
    fault(pointers.value, 'value_invalid', 'is less than 18 digits after the point can tell');
  }

  const given = columnsOf(draft);
  const metadata = encodeRest(draft, rules.onDoubt);
  const usage = metadata?.usage;
  if (usage) {
    for (const { path, message } of usage.faults) {
      fault(pointers.metadata + pointerTo(path), 'usage_invalid', message);
    }
  }
  if (metadata === undefined) {
    fault(pointers.metadata, 'metadata_too_large', 'is nested too deeply or too large');
  } else if (metadata.tooLong) {
    fault(
      pointers.metadata + pointerTo(metadata.tooLong),
      'number_out_of_range',
      `may have at most ${MAX_NUMBER_DIGITS} digits before the point and after it`,
    );
  } else if (rules.checkText) {
    const path = findUnstorableText(input);
    if (path) fault(pointerTo(path), 'text_invalid', 'must not contain NUL or unpaired surrogates');
  }

  if (faults.length > 0) return { faults };
  // Only now: an id that cannot be stored cannot be made into a UUID either.
  const { eventId, externalId } = typeof identity === 'string' ? identify(identity) : identity;
  const { tokens, latencyMs } = given;
  const inputTokens = given.inputTokens ?? usage?.columns.inputTokens;
  const outputTokens = given.outputTokens ?? usage?.columns.outputTokens;
  const event: UsageEvent = {
    tenantId: tenantId!,
    customerId: draft.customerId,
    eventId,
    externalId,
    tsMicros,
    eventType,
    sourceId: draft.sourceId ?? null,
    endpoint: draft.apiEndpoint ?? null,
    model: given.model ?? usage?.columns.model ?? null,
    reference: draft.reference ?? draft.sessionId ?? null,
    unit: draft.unit ?? null,
    value,
    tokens: tokens ?? sumOfTokens(inputTokens, outputTokens),
    inputTokens: inputTokens ?? null,
    outputTokens: outputTokens ?? null,
    latencyMs: latencyMs ?? null,
    metadata: metadata!.text,
    document: metadata!.rest,
  };
  if (usage) event.aiUsage = { status: usage.status, shape: usage.shape };
  return { event };
}

function sumOfTokens(input: number | null | undefined, output: number | null | undefined): number | null {
  return input == null && output == null ? null : (input ?? 0) + (output ?? 0);
}

/** The metadata that has columns. */
function columnsOf({ metadata, misfits }: Draft): NonNullable<NativeEvent['metadata']> {
  if (!metadata || !misfits) return metadata ?? {};
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !misfits.has(name)));
}

/** The metadata that has no column. */
interface Rest {
  /** As it is kept: JSON text; null where there is none. */
  text: string | null;
  /** The same, parsed. */
  rest: Record<string, unknown> | null;
  /** Where a number is beyond what is stored, the keys that lead to it. */
  tooLong?: string[];
  /** What a usage object in it says, of which the parts have been added to it. */
  usage?: NormalisedUsage | null;
}
const NO_REST: Rest = { text: null, rest: null };

/**
 * An object that inherits nothing, so that `__proto__` is a member like any other. Unlike Object.create(null) it has a shape
 * that the engine knows: it is filled and written as JSON in half the time.
 */
const Bare = function Bare() {} as unknown as new () => Record<string, unknown>;
Bare.prototype = Object.create(null);

/** @returns undefined when it is too much. */
function encodeRest({ metadata, misfits }: Draft, onDoubt: EventRules['onDoubt']): Rest | undefined {
  let rest: Record<string, unknown> | null = null;
  let mayHoldUsage = false;
  for (const key in metadata) {
    const role = ROLES.get(key);
    if (role === 'column' && !misfits?.has(key)) continue;
    if (role === 'usage') mayHoldUsage = true;
    const value = metadata[key];
    if (value === undefined) continue;
    rest ??= new Bare();
    rest[key] = value;
  }
  if (rest === null) return NO_REST;
  const walk = new MetadataWalk();
  if (!walk.enter(rest, MAX_METADATA_DEPTH)) return undefined;
  if (walk.tooLong) return { ...NO_REST, tooLong: walk.tooLong.reverse() };
  if (walk.doubtful) onDoubt?.();
  if (!mayHoldUsage && !isEventOfStream(metadata!)) {
    const text = stringifyJson(rest);
    return text.length + walk.longer > MAX_METADATA_LENGTH ? undefined : { text, rest };
  }
  const usage = normaliseUsage(metadata!, (name) => !misfits?.has(name));
  Object.assign(rest, usage?.members);
  const text = stringifyJson(rest);
  const most = MAX_METADATA_LENGTH + (usage ? MAX_USAGE_MEMBERS_LENGTH : 0);
  return text.length + walk.longer > most ? undefined : { text, rest, usage };
}
