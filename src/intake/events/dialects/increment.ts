import { v7 as uuidV7 } from 'uuid';
import { z } from 'zod';
import { TidemarkError } from '../../../model/errors.ts';
import { type EventIdentity, identify, identifyAs } from '../../../model/eventId.ts';
import { COUNTER_INCREMENT } from '../../../model/usageEvent.ts';
import { type DialectRules, type EventRules, type EventVerdict, finishEvent } from '../finishEvent.ts';
import { asTexts, checkNumbers } from '../keptNumbers.ts';
import { ABOVE_ZERO, AboveZero, MAX_ID } from '../nativeEvent.ts';
import { schemaFaults } from '../schemaFaults.ts';

/** What is added to a named counter. Unknown fields are refused. */
export const Increment = z
  .strictObject({
    key: z.string().min(1).max(MAX_ID).meta({ description: 'The counter.', example: 'signups' }),
    value: AboveZero.meta({ description: ABOVE_ZERO, example: 1 }),
  })
  .meta({ id: 'Increment' });
type Sent = z.infer<typeof Increment>;

const INCREMENT: DialectRules = {
  pointers: {
    tenantId: '',
    timestamp: '',
    apiEndpoint: '',
    sessionId: '',
    value: '/value',
    metadata: '',
  },
  positive: true,
};

/** Turns one increment, as parsed from JSON, into the event that is stored. It happens when it is received. */
export function incrementToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  const checked = checkNumbers(Increment, input, (increment) => asTexts(increment as Sent, ['value']));
  if (checked.error)
    return { faults: schemaFaults(checked.error, checked.input, index, 'is not a field of an increment') };
  const { key, value } = checked.input as Sent;
  const draft = { customerId: key, eventType: COUNTER_INCREMENT, value };
  const verdict = finishEvent(draft, identityOf(rules, index), rules, index, input, INCREMENT);
  if (rules.idempotent && verdict.event) verdict.event.idempotent = true;
  return verdict;
}

function identityOf({ fallbackId, idempotent }: EventRules, index: number): EventIdentity {
  if (!fallbackId) return { eventId: uuidV7(), externalId: null };
  const id = fallbackId(index);
  const given = identify(id);
  const isOurs = !idempotent && given.externalId === null; // a UUID that no client has chosen
  return isOurs ? given : identifyAs('increment', [id], id);
}

/**
 * The rules for an increment under an Idempotency-Key, whichever way it comes.
 *
 * `fallbackId` throws {TidemarkError} `invalid_request` for any but the first: a key goes with one.
 */
export function rulesUnderKey(key: string): Pick<EventRules, 'fallbackId' | 'idempotent'> {
  const fallbackId = (index: number) => {
    if (index === 0) return key;
    throw new TidemarkError('invalid_request', 'an Idempotency-Key goes with a single increment');
  };
  return { fallbackId, idempotent: true };
}
