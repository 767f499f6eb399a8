import { z } from 'zod';
import { type EventRules, type EventVerdict, finishEvent } from '../finishEvent.ts';
import { foreignRules, Members, ofDocument } from '../foreignDocument.ts';
import { asTexts, checkNumbers } from '../keptNumbers.ts';
import { MAX_EVENT_TYPE, MAX_ID, When } from '../nativeEvent.ts';
import { schemaFaults } from '../schemaFaults.ts';

const id = z.string().min(1).max(MAX_ID);

/** A usage event of Metronome. */
const MetronomeEvent = z.strictObject({
  transaction_id: id,
  customer_id: id,
  event_type: z.string().min(1).max(MAX_EVENT_TYPE),
  timestamp: When,
  properties: Members.nullish(),
});
type MetronomeEvent = z.infer<typeof MetronomeEvent>;

const RULES = foreignRules('/timestamp', '/properties');

/** Turns one into the event that is stored, by its transaction. */
export function metronomeToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  const checked = checkNumbers(MetronomeEvent, input, (event) =>
    asTexts(event as MetronomeEvent, ['timestamp']),
  );
  if (checked.error) {
    return { faults: schemaFaults(checked.error, checked.input, index, 'is not a field of an event') };
  }
  const { transaction_id, customer_id, event_type, timestamp, properties } = checked.input as MetronomeEvent;
  const draft = {
    ...ofDocument(properties ?? {}),
    timestamp,
    customerId: customer_id,
    eventType: event_type,
  };
  return finishEvent(draft, transaction_id, rules, index, input, RULES);
}
