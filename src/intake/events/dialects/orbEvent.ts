import { z } from 'zod';
import { type EventRules, type EventVerdict, finishEvent } from '../finishEvent.ts';
import { foreignRules, Members, ofDocument } from '../foreignDocument.ts';
import { asTexts, checkNumbers } from '../keptNumbers.ts';
import { MAX_EVENT_TYPE, MAX_ID, When } from '../nativeEvent.ts';
import { schemaFaults } from '../schemaFaults.ts';

const id = z.string().min(1).max(MAX_ID);

/** An event of Orb, about one of two kinds of customer ids, which are not told apart here. */
const OrbEvent = z
  .strictObject({
    event_name: z.string().min(1).max(MAX_EVENT_TYPE),
    idempotency_key: id,
    timestamp: When,
    properties: Members,
    customer_id: id.nullish(),
    external_customer_id: id.nullish(),
  })
  .refine(
    (event) => (event.customer_id == null) !== (event.external_customer_id == null),
    'exactly one of customer_id and external_customer_id must be given',
  );
type OrbEvent = z.infer<typeof OrbEvent>;

const RULES = foreignRules('/timestamp', '/properties');

/** Turns one into the event that is stored, by its idempotency key. A time without a zone is one of UTC, as there. */
export function orbToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  const checked = checkNumbers(OrbEvent, input, (event) => asTexts(event as OrbEvent, ['timestamp']));
  if (checked.error) {
    return { faults: schemaFaults(checked.error, checked.input, index, 'is not a field of an event') };
  }
  const event = checked.input as OrbEvent;
  const draft = {
    ...ofDocument(event.properties),
    timestamp: inUtc(event.timestamp),
    customerId: (event.external_customer_id ?? event.customer_id)!,
    eventType: event.event_name,
  };
  return finishEvent(draft, event.idempotency_key, rules, index, input, RULES);
}

function inUtc(timestamp: OrbEvent['timestamp']): OrbEvent['timestamp'] {
  return typeof timestamp === 'string' && /T\d\d:\d\d:\d\d(?:\.\d+)?$/.test(timestamp)
    ? `${timestamp}Z`
    : timestamp;
}
