import { isNotZero, isPositive, parseDecimal } from '../../model/decimal.ts';
import type { EventFault } from '../../model/errors.ts';
import { type EventIdentity, identify } from '../../model/eventId.ts';
import { isDoubtful, stringifyJson } from '../../model/json.ts';
import { findUnstorableText } from '../../model/text.ts';
import { parseTimestamp, timestampFault } from '../../model/timestamp.ts';
import { COUNTER_INCREMENT, DEFAULT_EVENT_TYPE, type UsageEvent } from '../../model/usageEvent.ts';
import { MAX_NUMBER_DIGITS, MetadataWalk } from './metadataWalk.ts';
import { METADATA_FIELDS, type NativeEvent } from './nativeEvent.ts';
import { pointerTo } from './schemaFaults.ts';

/** Nesting of metadata beyond which an event is refused, in levels. */
const MAX_METADATA_DEPTH = 32;
const METADATA_COLUMNS = new Set(Object.keys(METADATA_FIELDS));
/** Size of metadata that has no column beyond which an event is refused, in UTF-16 code units of JSON. */
const MAX_METADATA_LENGTH = 65_536;

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
  fallbackId?: (index: number) => string;
  /** That identity is an Idempotency-Key, under which another request may come. */
  idempotent?: boolean;
  /** Look for NUL and lone surrogates. May be left out where the source cannot contain any. */
  checkText: boolean;
  /** Told of a number that may be what a double has left of another. Left out where inputs are parsed exactly. */
  onDoubt?: () => void;
}

export type EventVerdict = { event: UsageEvent; faults?: never } | { event?: never; faults: EventFault[] };

/** An input of any dialect, in the words of the native event: its schema has passed, its content is yet to be checked. */
export type Draft = Omit<NativeEvent, 'eventId' | 'timestamp'> & {
  /** Left out: the time of receipt. */
  timestamp?: NativeEvent['timestamp'] | undefined;
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
  { pointers, positive }: DialectRules,
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
  if (eventType === DEFAULT_EVENT_TYPE && draft.apiEndpoint === undefined) {
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

  const { tokens, model, latencyMs, inputTokens, outputTokens } = draft.metadata ?? {};
  const metadata = encodeRest(draft.metadata, rules.onDoubt);
  if (metadata === undefined) {
    fault(pointers.metadata, 'metadata_too_large', 'is nested too deeply or too large');
  } else if (Array.isArray(metadata)) {
    fault(
      pointers.metadata + pointerTo(metadata),
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
  return {
    event: {
      tenantId: tenantId!,
      customerId: draft.customerId,
      eventId,
      externalId,
      tsMicros,
      eventType,
      sourceId: draft.sourceId ?? null,
      endpoint: draft.apiEndpoint ?? null,
      model: model ?? null,
      reference: draft.reference ?? draft.sessionId ?? null,
      unit: draft.unit ?? null,
      value,
      tokens: tokens ?? sumOfTokens(inputTokens, outputTokens),
      inputTokens: inputTokens ?? null,
      outputTokens: outputTokens ?? null,
      latencyMs: latencyMs ?? null,
      metadata: metadata as string | null,
    },
  };
}

function sumOfTokens(input: number | null | undefined, output: number | null | undefined): number | null {
  return input == null && output == null ? null : (input ?? 0) + (output ?? 0);
}

/**
 * JSON text of the metadata that has no column, null when there is none, undefined when it is too much; where a number
 * is beyond what is stored, the keys that lead to it.
 */
function encodeRest(
  metadata: NativeEvent['metadata'],
  onDoubt: EventRules['onDoubt'],
): string | null | undefined | string[] {
  let rest: Record<string, unknown> | undefined;
  for (const key in metadata) {
    if (METADATA_COLUMNS.has(key)) continue;
    rest ??= Object.create(null) as Record<string, unknown>;
    rest[key] = metadata[key];
  }
  if (rest === undefined) return null;
  const walk = new MetadataWalk();
  if (!walk.enter(rest, MAX_METADATA_DEPTH)) return undefined;
  if (walk.tooLong) return walk.tooLong.reverse();
  if (walk.doubtful) onDoubt?.();
  const text = stringifyJson(rest);
  return text.length + walk.longer > MAX_METADATA_LENGTH ? undefined : text;
}
