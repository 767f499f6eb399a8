import { z } from 'zod';
import type { EventFault } from '../../../model/errors.ts';
import { identifyAs } from '../../../model/eventId.ts';
import { JsonNumber, parseJson } from '../../../model/json.ts';
import {
  type DialectRules,
  type Draft,
  type EventRules,
  type EventVerdict,
  finishEvent,
} from '../finishEvent.ts';
import { asMeasures, asTexts, checkNumbers } from '../keptNumbers.ts';
import {
  MAX_ENDPOINT,
  MAX_EVENT_TYPE,
  MAX_ID,
  MAX_UNIT,
  METADATA_FIELDS,
  WHEN,
  When,
} from '../nativeEvent.ts';
import { MAX_FAULTS_PER_EVENT, pointerTo, schemaFaults } from '../schemaFaults.ts';

/** Extensions included; more are refused unread. */
const MAX_ATTRIBUTES = 100;
/** Longest data_base64: about what metadata may have. */
const MAX_BASE64 = 131_072;

const text = (max: number) => z.string().min(1).max(max);

/** The context attributes (CloudEvents 1.0.2, §3) that have a meaning here. */
const Attributes = z.looseObject({
  specversion: z.literal('1.0', 'must be "1.0"').meta({ example: '1.0' }),
  id: text(MAX_ID).meta({ description: 'Identity of the event, together with its source.' }),
  source: text(MAX_ID)
    .regex(/^[^\s\p{Cc}]+$/u, 'must be a URI reference')
    .meta({ format: 'uri-reference', description: 'Where it comes from.', example: '/gateways/eu-1' }),
  type: text(MAX_EVENT_TYPE).meta({ description: 'The event type.', example: 'api.request' }),
  subject: z
    .string({
      error: ({ input }) => (input === undefined ? 'is required here: it names the customer' : undefined),
    })
    .min(1)
    .max(MAX_ID)
    .meta({ description: 'Whom the event is about: the customer. Required here.' }),
  time: When.optional().meta({
    format: 'date-time',
    description: `When it happened. ${WHEN} Left out: the time of receipt. A retry is counted once anyway.`,
  }),
  datacontenttype: text(MAX_ID).optional(),
  dataschema: text(1_024).optional(),
  data_base64: z.string().max(MAX_BASE64).pipe(z.base64()).optional(),
});

/** Of `data`, where it is an object, what has a column; the rest of it is metadata. */
const Data = z.looseObject({
  ...METADATA_FIELDS,
  apiEndpoint: text(MAX_ENDPOINT).nullish(),
  reference: text(MAX_ID).nullish(),
  sessionId: text(MAX_ID).nullish(),
  unit: text(MAX_UNIT).nullish(),
  value: z.union([z.number(), z.string()], 'must be a number or a decimal string').nullish(),
});
type Data = z.infer<typeof Data>;

/** A CloudEvent in the JSON format, as it is described. */
export const CloudEvent = Attributes.extend({
  data: z
    .union([Data, z.unknown()])
    .optional()
    .meta({ description: 'Kept as metadata; the names of the native event have the same meaning in it.' }),
}).meta({ id: 'CloudEvent' });

const KNOWN_ATTRIBUTES = new Set(Object.keys(Attributes.shape));
const COLUMNS_OF_DATA = new Set(['apiEndpoint', 'reference', 'sessionId', 'unit', 'value']);

const CLOUDEVENT: DialectRules = {
  pointers: {
    tenantId: '',
    timestamp: '/time',
    apiEndpoint: '/data/apiEndpoint',
    sessionId: '/data/sessionId',
    value: '/data/value',
    metadata: '/data',
  },
  positive: false,
};

/**
 * Turns one CloudEvent (1.0, JSON format) into the event that is stored. Source and id are its identity, the subject
 * its customer. An object as data becomes the metadata, with the names of the native event promoted; anything else is
 * `data` (or `data_base64`) in the metadata. Extension attributes are metadata too, under their names.
 */
export function cloudEventToEvent(input: unknown, rules: EventRules, index: number): EventVerdict {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { faults: [{ index, pointer: '', code: 'type_invalid', message: 'must be an object' }] };
  }
  const { attributes, data: given } = split(input);
  if (Object.keys(attributes).length > MAX_ATTRIBUTES) {
    const message = `may have at most ${MAX_ATTRIBUTES} attributes`;
    return { faults: [{ index, pointer: '', code: 'too_many_attributes', message }] };
  }
  const faults: EventFault[] = [];
  const fault = (name: string, code: string, message: string) =>
    faults.push({ index, pointer: pointerTo([name]), code, message });

  const checkedAttributes = checkNumbers(Attributes, attributes, (sent) => asTexts(sent, ['time']));
  if (checkedAttributes.error) faults.push(...schemaFaults(checkedAttributes.error, attributes, index, ''));
  for (const [name, value] of Object.entries(attributes)) {
    if (KNOWN_ATTRIBUTES.has(name)) continue;
    if (!/^[a-z0-9]+$/.test(name)) {
      fault(name, 'unknown_field', 'is not the name of an attribute: lower-case letters and digits');
    } else if (typeof value === 'object' && !(value instanceof JsonNumber)) {
      fault(name, 'type_invalid', 'an extension attribute is a string, an integer or a boolean');
    }
  }
  if (faults.length > 0) return { faults: faults.slice(0, MAX_FAULTS_PER_EVENT) };

  const { id, source, type, subject, time, datacontenttype, data_base64 } =
    checkedAttributes.input as z.infer<typeof Attributes>;
  const isJson = datacontenttype === undefined || isJsonType(datacontenttype);
  let data = given;
  if (data_base64 !== undefined && data !== undefined) {
    fault('data_base64', 'data_conflict', 'data and data_base64 exclude each other');
  } else if (data_base64 !== undefined && isJson && datacontenttype !== undefined) {
    data = parseBase64(data_base64);
    if (data === undefined) {
      fault('data_base64', 'data_invalid', 'does not hold JSON in UTF-8, as datacontenttype says');
    }
  }
  const isDecoded = data !== given;

  let members: object = {};
  const isObject =
    data == null || (typeof data === 'object' && !Array.isArray(data) && !(data instanceof JsonNumber));
  if (isObject) {
    const checked = checkNumbers(Data, (data ?? {}) as Data, (sent) => asTexts(asMeasures(sent), ['value']));
    if (checked.error) faults.push(...schemaFaults(checked.error, checked.input, index, '', '/data'));
    members = checked.input;
  }
  const metadata = Object.create(null) as Record<string, unknown>;
  if (!isObject) metadata.data = data;
  else {
    for (const [name, value] of Object.entries(members)) {
      if (!COLUMNS_OF_DATA.has(name)) metadata[name] = value;
    }
  }
  if (data_base64 !== undefined && data === undefined) metadata.data_base64 = data_base64;
  for (const [name, value] of Object.entries(attributes)) {
    if (!isKept(name, isJson)) continue;
    if (Object.hasOwn(members, name) || Object.hasOwn(METADATA_FIELDS, name)) {
      fault(
        name,
        'attribute_conflict',
        'means something as a member of data; an attribute cannot be called so',
      );
    } else metadata[name] = value;
  }
  if (faults.length > 0) return { faults };

  const draft = {
    ...(isObject && columnsOf(members as Data)),
    timestamp: time,
    customerId: subject,
    eventType: type,
    sourceId: source,
    metadata,
  } satisfies Draft;
  return finishEvent(
    draft,
    identifyAs('cloudevents', [source, id], `${source} ${id}`),
    isDecoded ? { ...rules, checkText: true } : rules, // what the body may hold says nothing of what was inside
    index,
    isDecoded ? { ...input, data } : input,
    CLOUDEVENT,
  );
}

/** The data beside the attributes. One that is null is not set (CloudEvents JSON format 1.0.2, §2.2). */
function split(input: object): { attributes: Record<string, unknown>; data: unknown } {
  const attributes = Object.create(null) as Record<string, unknown>;
  let data: unknown;
  for (const [name, value] of Object.entries(input)) {
    if (value === null) continue;
    if (name === 'data') data = value;
    else attributes[name] = value;
  }
  return { attributes, data };
}

/** Whether an attribute is metadata: extensions are, and what says how to read the data that are kept. */
function isKept(name: string, isJson: boolean): boolean {
  if (name === 'datacontenttype') return !isJson;
  return name === 'dataschema' || !KNOWN_ATTRIBUTES.has(name);
}

function columnsOf({ apiEndpoint, reference, sessionId, unit, value }: Data) {
  return {
    apiEndpoint: apiEndpoint ?? undefined,
    reference: reference ?? undefined,
    sessionId: sessionId ?? undefined,
    unit: unit ?? undefined,
    value: value ?? undefined,
  };
}

/** Whether a content type says that the data are JSON (CloudEvents JSON format 1.0.2, §3.1). */
export function isJsonType(contentType: string): boolean {
  return /^[^/;\s]+\/(?:[^/;\s]+\+)?json\s*(?:;|$)/i.test(contentType.trim());
}

/** undefined where it is not JSON. */
function parseBase64(text: string): unknown {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'base64')));
  } catch {
    return undefined;
  }
}
