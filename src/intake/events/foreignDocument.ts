import { z } from 'zod';
import { isNotZero, parseDecimal } from '../../model/decimal.ts';
import { JsonNumber } from '../../model/json.ts';
import type { DialectRules, Draft } from './finishEvent.ts';
import { asMeasures } from './keptNumbers.ts';
import { MAX_ENDPOINT, MAX_ID, MAX_UNIT, METADATA_FIELDS } from './nativeEvent.ts';

/** What a draft has of a document: its columns, and all the rest as metadata. */
type OfDocument = Pick<
  Draft,
  'apiEndpoint' | 'reference' | 'sessionId' | 'unit' | 'value' | 'metadata' | 'misfits'
>;

/** An object of whatever members. A JsonNumber, which is an object too, is none. */
export const Members = z.custom<Record<string, unknown>>(
  (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber),
  'must be an object',
);

/** Longest texts of the columns beside the metadata. */
const TEXTS = { apiEndpoint: MAX_ENDPOINT, reference: MAX_ID, sessionId: MAX_ID, unit: MAX_UNIT } as const;

/**
 * The document of an event whose client knows nothing of this service. A member with the name and the form of a native
 * field becomes that field, so that usage and sessions show it; one with the name alone (`"tokens": "12"`,
 * `"value": "NaN"`, any null) stays in the metadata as it came, and refuses nothing: meters say what they make of it.
 */
export function ofDocument(document: Readonly<Record<string, unknown>>): OfDocument {
  const metadata = Object.create(null) as Record<string, unknown>;
  const misfits = new Set<string>();
  const columns: OfDocument = {};
  for (const [name, given] of Object.entries(asMeasures(document))) {
    if (isText(name)) {
      if (fitsText(name, given, document)) columns[name] = given;
      else metadata[name] = given;
    } else if (name === 'value') {
      const value = given instanceof JsonNumber ? given.toString() : given;
      if (isDecimal(value)) columns.value = value;
      else metadata[name] = given;
    } else {
      const fits = !Object.hasOwn(METADATA_FIELDS, name) || isMeasure(name, given);
      if (!fits) misfits.add(name);
      metadata[name] = fits ? given : document[name];
    }
  }
  return { ...columns, metadata, misfits };
}

function isText(name: string): name is keyof typeof TEXTS {
  return Object.hasOwn(TEXTS, name);
}

/** A session beside a reference is another name for it only where they are one. */
function fitsText(
  name: keyof typeof TEXTS,
  value: unknown,
  document: Readonly<Record<string, unknown>>,
): value is string {
  if (typeof value !== 'string' || value === '' || value.length > TEXTS[name]) return false;
  return name !== 'sessionId' || !Object.hasOwn(document, 'reference') || document.reference === value;
}

/** Whether the column of values holds it to the last digit. */
function isDecimal(value: unknown): value is number | string {
  if (typeof value !== 'number' && typeof value !== 'string') return false;
  const decimal = parseDecimal(value);
  return decimal !== null && !(decimal === '0' && isNotZero(value));
}

/** Whether a member of metadata that has the name of a column has its form too. */
export function isMeasure(name: string, value: unknown): boolean {
  return value !== null && METADATA_FIELDS[name as keyof typeof METADATA_FIELDS].safeParse(value).success;
}

/** The rules of a dialect whose inputs have an event's time and document in these members. */
export function foreignRules(timestamp: string, document: string): DialectRules {
  return {
    pointers: {
      tenantId: '',
      timestamp,
      apiEndpoint: `${document}/apiEndpoint`,
      sessionId: `${document}/sessionId`,
      value: `${document}/value`,
      metadata: document,
    },
    positive: false,
    anyEndpoint: true,
  };
}
