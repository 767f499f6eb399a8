import { type DialectRules, type EventRules, type EventVerdict, finishEvent } from './finishEvent.ts';
import { asMeasures, asTexts, checkNumbers } from './keptNumbers.ts';
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
  let native = input as NativeEvent; // the schema only checks; it changes nothing
  if (!isPlainEvent(input)) {
    const checked = checkNumbers(NativeEvent, input, settleNumbers);
    if (checked.error) return { faults: schemaFaults(checked.error, checked.input, index, UNKNOWN_FIELD) };
    native = checked.input as NativeEvent;
  }
  return finishEvent(native, native.eventId, rules, index, input, NATIVE);
}

function settleNumbers(input: object): object {
  const event = asTexts(input as Partial<NativeEvent>, ['value', 'timestamp']);
  if (typeof event.metadata !== 'object' || event.metadata === null) return event;
  const metadata = asMeasures(event.metadata);
  return metadata === event.metadata ? event : { ...event, metadata };
}
