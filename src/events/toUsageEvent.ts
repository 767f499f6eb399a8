import type { EventFault } from '../errors.ts';
import { parseDecimal } from './decimal.ts';
import { identify } from './eventId.ts';
import { NativeEvent } from './nativeEvent.ts';
import { isPlainEvent } from './plainEvent.ts';
import { findUnstorableText } from './text.ts';
import { parseTimestamp } from './timestamp.ts';
import { DEFAULT_EVENT_TYPE, type UsageEvent } from './usageEvent.ts';

/** Nesting of metadata beyond which an event is refused, in levels. */
const MAX_METADATA_DEPTH = 32;
const METADATA_COLUMNS = new Set(['tokens', 'model', 'latencyMs', 'inputTokens', 'outputTokens']);
/** Faults listed per event; more say nothing new. */
const MAX_FAULTS_PER_EVENT = 10;
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
  /** The identity of an input that has none, by its position; without it, a random one. */
  fallbackId?: (index: number) => string;
  /** Look for NUL and lone surrogates. May be left out where the source cannot contain any. */
  checkText: boolean;
}

export type EventVerdict = { event: UsageEvent; faults?: never } | { event?: never; faults: EventFault[] };

/**
 * Turns one native event, as parsed from JSON, into the event that is stored.
 *
 * @param index position in the request, repeated in every fault.
 */
export function toUsageEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  if (!isPlainEvent(input)) {
    const parsed = NativeEvent.safeParse(input);
    if (!parsed.success) {
      const faults = parsed.error.issues.flatMap((issue) => describe(issue, index));
      return { faults: faults.slice(0, MAX_FAULTS_PER_EVENT) };
    }
  }
  const native = input as NativeEvent; // the schema only checks; it changes nothing
  const faults: EventFault[] = [];
  const fault = (pointer: string, code: string, message: string) =>
    faults.push({ index, pointer, code, message });

  const tenantId = native.tenantId ?? rules.tenantId;
  if (tenantId === null) fault('/tenantId', 'tenant_required', 'a platform key must name the tenant');
  else if (rules.tenantId !== null && tenantId !== rules.tenantId) {
    fault('/tenantId', 'tenant_mismatch', 'the key belongs to another tenant');
  }

  const tsMicros = parseTimestamp(native.timestamp);
  if (Number.isNaN(tsMicros)) {
    fault('/timestamp', 'timestamp_invalid', 'must be an ISO 8601 date-time with a zone');
  } else if (tsMicros > rules.latestMicros) {
    fault('/timestamp', 'timestamp_too_new', 'is further in the future than this service accepts');
  } else if (tsMicros < rules.earliestMicros) {
    fault('/timestamp', 'timestamp_too_old', 'is older than this service accepts; use import for old data');
  }

  const eventType = native.eventType ?? DEFAULT_EVENT_TYPE;
  if (eventType === DEFAULT_EVENT_TYPE && native.apiEndpoint === undefined) {
    fault('/apiEndpoint', 'required', `is required for ${DEFAULT_EVENT_TYPE} events`);
  }
  if (
    native.reference !== undefined &&
    native.sessionId !== undefined &&
    native.reference !== native.sessionId
  ) {
    fault('/sessionId', 'reference_conflict', 'reference and sessionId name the same thing and differ');
  }

  const value = native.value === undefined ? null : parseDecimal(native.value);
  if (native.value !== undefined && value === null) {
    fault('/value', 'value_invalid', 'must be a decimal of at most 38 digits, 18 of them after the point');
  }

  const { tokens, model, latencyMs, inputTokens, outputTokens } = native.metadata ?? {};
  const metadata = encodeRest(native.metadata);
  if (metadata === undefined) {
    fault('/metadata', 'metadata_too_large', 'is nested too deeply or too large');
  } else if (rules.checkText) {
    const path = findUnstorableText(input);
    if (path) fault(pointerTo(path), 'text_invalid', 'must not contain NUL or unpaired surrogates');
  }

  if (faults.length > 0) return { faults };
  const { eventId, externalId } = identify(native.eventId);
  return {
    event: {
      tenantId: tenantId!,
      customerId: native.customerId,
      eventId,
      externalId,
      tsMicros,
      eventType,
      sourceId: native.sourceId ?? null,
      endpoint: native.apiEndpoint ?? null,
      model: model ?? null,
      reference: native.reference ?? native.sessionId ?? null,
      unit: native.unit ?? null,
      value,
      tokens: tokens ?? sumOfTokens(inputTokens, outputTokens),
      inputTokens: inputTokens ?? null,
      outputTokens: outputTokens ?? null,
      latencyMs: latencyMs ?? null,
      metadata: metadata!,
    },
  };
}

function sumOfTokens(input: number | null | undefined, output: number | null | undefined): number | null {
  return input == null && output == null ? null : (input ?? 0) + (output ?? 0);
}

/** JSON text of the metadata that has no column, null when there is none, undefined when it is too much. */
function encodeRest(metadata: NativeEvent['metadata']): string | null | undefined {
  let rest: Record<string, unknown> | undefined;
  for (const key in metadata) {
    if (METADATA_COLUMNS.has(key)) continue;
    rest ??= Object.create(null) as Record<string, unknown>;
    rest[key] = metadata[key];
  }
  if (rest === undefined) return null;
  if (isDeeperThan(rest, MAX_METADATA_DEPTH)) return undefined;
  const text = JSON.stringify(rest);
  return text.length > MAX_METADATA_LENGTH ? undefined : text;
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1));
}

type Issue = NonNullable<ReturnType<typeof NativeEvent.safeParse>['error']>['issues'][number];

/** A zod issue as faults: one for each unknown field, otherwise one. */
function describe(issue: Issue, index: number): EventFault[] {
  const pointer = pointerTo(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MAX_FAULTS_PER_EVENT).map((key) => ({
      index,
      pointer: pointer + pointerTo([key]),
      code: 'unknown_field',
      message: 'is not a field of an event; put it into metadata',
    }));
  }
  return [{ index, pointer, code: codeOf(issue), message: issue.message }];
}

function codeOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.message.endsWith('received undefined') ? 'required' : 'type_invalid';
    case 'too_small':
      return issue.origin === 'string' ? 'too_short' : 'out_of_range';
    case 'too_big':
      return issue.origin === 'string' ? 'too_long' : 'out_of_range';
    default:
      return 'type_invalid';
  }
}

/** RFC 6901 §3. */
function pointerTo(path: PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
