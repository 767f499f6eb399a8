import { z } from 'zod';
import type { EventFault } from '../../../model/errors.ts';
import { identifyAs } from '../../../model/eventId.ts';
import { JsonNumber } from '../../../model/json.ts';
import { type EventRules, type EventVerdict, finishEvent } from '../finishEvent.ts';
import { foreignRules, Members, ofDocument } from '../foreignDocument.ts';
import { asTexts, checkNumbers } from '../keptNumbers.ts';
import { MAX_EVENT_TYPE, MAX_ID, When } from '../nativeEvent.ts';
import { MAX_FAULTS_PER_EVENT, pointerTo, schemaFaults } from '../schemaFaults.ts';
import { isJsonType } from './cloudEvent.ts';

const text = (max: number) => z.string().min(1).max(max);

/** The attributes that OpenMeter's clients send; others are extensions. */
const Attributes = z.looseObject({
  specversion: z.literal('1.0', 'must be "1.0"'),
  id: text(MAX_ID),
  source: text(MAX_ID),
  type: text(MAX_EVENT_TYPE),
  subject: text(MAX_ID),
  time: When.optional(),
  datacontenttype: text(MAX_ID).refine(isJsonType, 'must be application/json').optional(),
  dataschema: text(1_024).optional(),
  data: Members.optional(),
  data_base64: z.never('data must be an object, not bytes').optional(),
});
type Attributes = z.infer<typeof Attributes>;

const NAMES = new Set(Object.keys(Attributes.shape));
const RULES = foreignRules('/time', '/data');

/**
 * Turns a CloudEvent as OpenMeter's clients send it into the event that is stored. Unlike that of the native path it may
 * hold in its data whatever it likes, under whatever name: what has the name but not the form of a native field is kept
 * as it is. Identity and customer are the same: source and id, and the subject.
 */
export function openMeterToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { faults: [{ index, pointer: '', code: 'type_invalid', message: 'must be an object' }] };
  }
  // One that is null is not set (CloudEvents JSON format 1.0.2, §2.2).
  const sent = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
  const checked = checkNumbers(Attributes, sent, (attributes) => asTexts(attributes, ['time']));
  const faults: EventFault[] = checked.error ? schemaFaults(checked.error, sent, index, '') : [];
  for (const [name, value] of Object.entries(sent)) {
    if (NAMES.has(name)) continue;
    const isScalar = typeof value !== 'object' || value instanceof JsonNumber;
    if (/^[a-z0-9]+$/.test(name) && isScalar) continue;
    const message =
      'is no attribute: a name of lower-case letters and digits, and a string, a number or a boolean';
    faults.push({ index, pointer: pointerTo([name]), code: 'unknown_field', message });
  }
  if (faults.length > 0) return { faults: faults.slice(0, MAX_FAULTS_PER_EVENT) };
  const { id, source, type, subject, time, data = {}, ...rest } = checked.input as Attributes;
  const draft = {
    ...ofDocument({ ...extensions(rest), ...data }),
    timestamp: time,
    customerId: subject,
    eventType: type,
    sourceId: source,
  };
  const identity = identifyAs('cloudevents', [source, id], `${source} ${id}`);
  return finishEvent(draft, identity, rules, index, input, RULES);
}

/** What is kept beside the data, which goes before where both have a name. */
function extensions(attributes: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(attributes).filter(([name]) => name === 'dataschema' || !NAMES.has(name));
  return Object.fromEntries(kept);
}
