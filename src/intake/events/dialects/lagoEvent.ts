import { z } from 'zod';
import { identifyAs } from '../../../model/eventId.ts';
import { type EventRules, type EventVerdict, finishEvent } from '../finishEvent.ts';
import { foreignRules, Members, ofDocument } from '../foreignDocument.ts';
import { asTexts, checkNumbers } from '../keptNumbers.ts';
import { MAX_EVENT_TYPE, MAX_ID, When } from '../nativeEvent.ts';
import { schemaFaults } from '../schemaFaults.ts';

const id = z.string().min(1).max(MAX_ID);

/** An event of Lago. What it has besides is not kept, as there. */
const LagoEvent = z.looseObject({
  transaction_id: id,
  external_subscription_id: id,
  code: z.string().min(1).max(MAX_EVENT_TYPE),
  timestamp: When.nullish(),
  properties: Members.nullish(),
  precise_total_amount_cents: z.union([z.string(), z.number()]).nullish(),
});
type LagoEvent = z.infer<typeof LagoEvent>;

const RULES = foreignRules('/timestamp', '/properties');

/**
 * Turns one into the event that is stored: the customer is its subscription, which with the transaction is its identity
 * too. Its time does not count: a retry may carry another.
 */
export function lagoToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  const checked = checkNumbers(LagoEvent, input, (event) =>
    asTexts(event as LagoEvent, ['timestamp', 'precise_total_amount_cents']),
  );
  if (checked.error) return { faults: schemaFaults(checked.error, checked.input, index, '') };
  const event = checked.input as LagoEvent;
  const { transaction_id, external_subscription_id, code, timestamp, precise_total_amount_cents } = event;
  const amount = precise_total_amount_cents == null ? {} : { precise_total_amount_cents };
  const draft = {
    ...ofDocument({ ...amount, ...event.properties }),
    timestamp: timestamp ?? undefined,
    customerId: external_subscription_id,
    eventType: code,
  };
  const identity = identifyAs('lago', [external_subscription_id, transaction_id], transaction_id);
  return finishEvent(draft, identity, rules, index, input, RULES);
}
