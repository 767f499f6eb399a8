import { z } from 'zod';
import { RECORD_TYPES } from '../../../model/recordType.ts';
import { type DialectRules, type EventRules, type EventVerdict, finishEvent } from '../finishEvent.ts';
import { asTexts, checkNumbers } from '../keptNumbers.ts';
import { ABOVE_ZERO, AboveZero, MAX_ID, MAX_UNIT, WHEN, When } from '../nativeEvent.ts';
import { schemaFaults } from '../schemaFaults.ts';

const id = z.string().min(1).max(MAX_ID);

/** A signed value record: the type is its sign. Unknown fields are refused. */
export const ValueRecord = z
  .strictObject({
    recordId: id.meta({
      description: 'Identity of the record within its tenant. A UUID (UUIDv7 is fastest) or any other text.',
      example: '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e61',
    }),
    time: When.meta({ format: 'date-time', description: `When it happened. ${WHEN}` }),
    sourceId: id.optional().meta({ description: 'Where it comes from.' }),
    destinationId: id.meta({ description: 'Whom it is about: the customer.' }),
    type: z.enum(RECORD_TYPES).meta({ description: 'The sign of the value.' }),
    value: AboveZero.meta({ description: ABOVE_ZERO }),
    unit: z.string().min(1).max(MAX_UNIT).optional(),
    reference: id.optional().meta({ description: 'Order, invoice or session it belongs to.' }),
  })
  .meta({ id: 'ValueRecord' });
type Sent = z.infer<typeof ValueRecord>;

const RECORD: DialectRules = {
  pointers: {
    tenantId: '',
    timestamp: '/time',
    apiEndpoint: '',
    sessionId: '/reference',
    value: '/value',
    metadata: '',
  },
  positive: true,
};

/** Turns one value record, as parsed from JSON, into the event that is stored. */
export function recordToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  const checked = checkNumbers(ValueRecord, input, (record) => asTexts(record as Sent, ['value', 'time']));
  if (checked.error)
    return { faults: schemaFaults(checked.error, checked.input, index, 'is not a field of a record') };
  const { recordId, time, sourceId, destinationId, type, value, unit, reference } = checked.input as Sent;
  const draft = {
    timestamp: time,
    customerId: destinationId,
    eventType: type,
    sourceId,
    reference,
    unit,
    value,
  };
  return finishEvent(draft, recordId, rules, index, input, RECORD);
}
