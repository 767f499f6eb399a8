import { v7 as uuidV7 } from 'uuid';
import { z } from 'zod';
import { type EventRules, type EventVerdict, finishEvent } from '../finishEvent.ts';
import { foreignRules, ofDocument } from '../foreignDocument.ts';
import { asTexts, checkNumbers } from '../keptNumbers.ts';
import { MAX_EVENT_TYPE, MAX_ID, When } from '../nativeEvent.ts';
import { schemaFaults } from '../schemaFaults.ts';

const id = z.string().min(1).max(MAX_ID);

/** A meter event of Stripe, of v1 (whose form has become an object of texts) or v2. */
const MeterEvent = z.strictObject({
  event_name: z.string().min(1).max(MAX_EVENT_TYPE),
  identifier: id.optional(),
  timestamp: When.optional(),
  payload: z.looseObject({ stripe_customer_id: id }),
});
type MeterEvent = z.infer<typeof MeterEvent>;

const RULES = foreignRules('/timestamp', '/payload');

/**
 * Turns one into the event that is stored: the customer is `stripe_customer_id` of its payload, the rest of which is
 * its document. Its identifier is its identity, or else what `fallbackId` says.
 */
export function stripeToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  const checked = checkNumbers(MeterEvent, input, (event) => asTexts(event as MeterEvent, ['timestamp']));
  if (checked.error) {
    return {
      faults: schemaFaults(checked.error, checked.input, index, 'is not a parameter of a meter event'),
    };
  }
  const { event_name, identifier, timestamp, payload } = checked.input as MeterEvent;
  const { stripe_customer_id, ...document } = payload;
  const draft = { ...ofDocument(document), timestamp, customerId: stripe_customer_id, eventType: event_name };
  const identity = identifier ?? rules.fallbackId?.(index) ?? uuidV7();
  return finishEvent(draft, identity, rules, index, input, RULES);
}
