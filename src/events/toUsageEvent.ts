import { type DialectRules, type EventRules, type EventVerdict, finishEvent } from './finishEvent.ts';
import { NativeEvent } from './nativeEvent.ts';
import { isPlainEvent } from './plainEvent.ts';
import { schemaFaults } from './schemaFaults.ts';

const NATIVE: DialectRules = {
  pointers: {
    tenantId: '/tenantId',
    timestamp: '/timestamp',
    apiEndpoint: '/apiEndpoint',
    sessionId: '/sessionId',
    value: '/value',
    metadata: '/metadata',
  },
  positive: false,
};

const UNKNOWN_FIELD = 'is not a field of an event; put it into metadata';

/**
 * Turns one native event, as parsed from JSON, into the event that is stored.
 *
 * @param index position in the request, repeated in every fault.
 */
export function toUsageEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  if (!isPlainEvent(input)) {
    const parsed = NativeEvent.safeParse(input);
    if (!parsed.success) {
      return { faults: schemaFaults(parsed.error, input, index, UNKNOWN_FIELD) };
    }
  }
  const native = input as NativeEvent; // the schema only checks; it changes nothing
  return finishEvent(native, native.eventId, rules, index, input, NATIVE);
}
