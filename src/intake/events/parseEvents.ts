import { isUtf8 } from 'node:buffer';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import { holdsLongNumber, mayHoldFarNumber, parseJsonExactly } from '../../model/json.ts';
import { findUnstorableText, mayHoldUnstorableText } from '../../model/text.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { lineWithoutMark, withoutMark } from './byteOrderMark.ts';
import { binaryCloudEvent } from './dialects/binaryCloudEvent.ts';
import { cloudEventToEvent } from './dialects/cloudEvent.ts';
import { incrementToEvent } from './dialects/increment.ts';
import { lagoToEvent } from './dialects/lagoEvent.ts';
import { metronomeToEvent } from './dialects/metronomeEvent.ts';
import { openMeterToEvent } from './dialects/openMeterEvent.ts';
import { orbToEvent } from './dialects/orbEvent.ts';
import { recordToEvent } from './dialects/record.ts';
import { stripeToEvent } from './dialects/stripeMeterEvent.ts';
import type { EventRules, EventVerdict } from './finishEvent.ts';
import { pointerTo } from './schemaFaults.ts';
import { toUsageEvent } from './toUsageEvent.ts';

const OWN = {
  native: toUsageEvent,
  cloudevents: cloudEventToEvent,
  record: recordToEvent,
  increment: incrementToEvent,
};
/** Of the clients of others. */
const FOREIGN = {
  openmeter: openMeterToEvent,
  stripe: stripeToEvent,
  lago: lagoToEvent,
  orb: orbToEvent,
  metronome: metronomeToEvent,
};
const TO_EVENT: Record<Dialect, ToEvent> = { ...OWN, ...FOREIGN };

export type Dialect = keyof typeof OWN | keyof typeof FOREIGN;

/** How a body is to be read. */
export interface EventFormat {
  dialect: Dialect;
  /** json: one input or an array of them; ndjson: one per line; either: whichever it is, since nobody said. */
  framing: 'json' | 'ndjson' | 'either';
  /**
   * Of a CloudEvent in binary mode: its attributes by name, `datacontenttype` among them. The body is its data then,
   * and the framing means nothing.
   */
  attributes?: Readonly<Record<string, string>>;
  /** The member of the document in which its inputs are, one or an array. Left out: the document is them. */
  envelope?: string;
}

type ToEvent = (input: unknown, rules: EventRules, index: number) => EventVerdict;

export interface ParsedEvents {
  /** The events that are valid, in the order of the request. */
  events: UsageEvent[];
  /** For each valid event its position in the request. */
  indexes: number[];
  /** Faults of all others. */
  faults: EventFault[];
  /** Events in the request, valid or not. */
  total: number;
}

/**
 * Parses and validates the body of a request: one JSON input, a JSON array of them, or one per line (NDJSON), each
 * an event in the dialect.
 * Collects every fault; whether faults refuse the request is the caller's business.
 *
 * @throws {TidemarkError} `invalid_encoding`, `invalid_json`, `empty_batch`, `too_many_events`.
 */
export function parseEvents(
  received: Buffer,
  format: EventFormat,
  rules: Omit<EventRules, 'checkText' | 'onDoubt'>,
  maxEvents: number,
): ParsedEvents {
  const body = format.attributes ? received : withoutMark(received);
  const framing = format.framing === 'either' ? (isLines(body) ? 'ndjson' : 'json') : format.framing;
  const document = readDocument(body, framing, format.attributes !== undefined);
  const { tenantId, earliestMicros, latestMicros, receivedMicros, fallbackId, idempotent } = rules;
  const { checkText } = document;
  let doubtful = false;
  // Member by member: a spread costs as much as all other checks of a plain event.
  const checked: EventRules = {
    tenantId,
    earliestMicros,
    latestMicros,
    receivedMicros,
    fallbackId,
    idempotent,
    checkText,
    onDoubt() {
      doubtful = true;
    },
  };
  const read = (parse: Parse): ParsedEvents => {
    const faults: EventFault[] = [];
    const inputs = format.attributes
      ? [binaryCloudEvent(format.attributes, body, parse)]
      : opened(inputsOf(document, framing, maxEvents, parse, faults), format.envelope);
    return toEvents(inputs, format.dialect, checked, maxEvents, faults);
  };
  const exactly = () => {
    checked.onDoubt = undefined;
    return read(parseJsonExactly);
  };
  if (holdsLongNumber(body)) return exactly();
  const parsed = read(JSON.parse);
  return doubtful && mayHoldFarNumber(document.text) ? exactly() : parsed;
}

function toEvents(
  inputs: unknown[],
  dialect: Dialect,
  rules: EventRules,
  maxEvents: number,
  faults: EventFault[],
): ParsedEvents {
  if (inputs.length === 0) throw new TidemarkError('empty_batch', 'the request holds no event');
  if (inputs.length > maxEvents) {
    throw new TidemarkError('too_many_events', `a request may hold at most ${maxEvents} events`);
  }
  const toEvent = TO_EVENT[dialect];
  const events: UsageEvent[] = [];
  const indexes: number[] = [];
  for (let index = 0; index < inputs.length; index++) {
    if (inputs[index] === UNREADABLE) continue;
    const verdict = toEvent(inputs[index], rules, index);
    if (verdict.event) {
      events.push(verdict.event);
      indexes.push(index);
    } else {
      for (const fault of verdict.faults) faults.push(fault);
    }
  }
  if (faults.length > 1) faults.sort((a, b) => a.index - b.index);
  return { events, indexes, faults, total: inputs.length };
}

interface Document {
  text: string;
  /** Whether some text may be one that PostgreSQL refuses. */
  checkText: boolean;
  /** Whether it is UTF-8. Where it is not, `text` has two unpaired surrogates for each byte that is out of place. */
  valid: boolean;
}

function readDocument(body: Buffer, framing: 'json' | 'ndjson', isData: boolean): Document {
  if (isUtf8(body) || isData) {
    const text = body.toString('utf8');
    return { text, checkText: isData || mayHoldUnstorableText(text), valid: true };
  }
  const lossy = body.toString('utf8');
  // JSON of which a text has a byte too many is still told apart, event by event; anything else is not.
  if (framing === 'json' && !isJson(lossy)) throw notUtf8();
  return { text: withMarkedBytes(body), checkText: true, valid: false };
}

/** What stands for such a byte: no text may hold it, whatever is around it. */
const MARKED_BYTE = '\\ud800\\ud800';

/** U+FFFD of the sender's own is written otherwise, so that what is left of them stands for bytes that are no UTF-8. */
function withMarkedBytes(body: Buffer): string {
  const own = body.toString('latin1').replaceAll('\xef\xbf\xbd', '\\ufffd');
  return Buffer.from(own, 'latin1').toString('utf8').replaceAll('\ufffd', MARKED_BYTE);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function notUtf8(): TidemarkError {
  return new TidemarkError('invalid_encoding', 'the body is not valid UTF-8');
}

/** @throws {TidemarkError} `invalid_request` where the body is no object with that member. */
function opened(documents: unknown[], envelope: string | undefined): unknown[] {
  if (envelope === undefined) return documents;
  const [document] = documents;
  if (documents.length !== 1 || typeof document !== 'object' || document === null) {
    throw new TidemarkError('invalid_request', `the body must be an object with the member ${envelope}`);
  }
  const inputs = Object.hasOwn(document, envelope)
    ? (document as Record<string, unknown>)[envelope]
    : undefined;
  if (typeof inputs !== 'object' || inputs === null) {
    throw new TidemarkError('invalid_request', `${envelope} is required, and must be an object or an array`);
  }
  return Array.isArray(inputs) ? inputs : [inputs];
}

const UNREADABLE = Symbol('an input that cannot be read');
/** Levels of an input in which bytes that are no UTF-8 are looked for. */
const MAX_LEVELS = 64;

type Parse = (json: string) => unknown;

/** The inputs of a body; each that cannot be read has its fault, and UNREADABLE in its place. */
function inputsOf(
  { text, valid }: Document,
  framing: 'json' | 'ndjson',
  maxEvents: number,
  parse: Parse,
  faults: EventFault[],
): unknown[] {
  const inputs = framing === 'json' ? parseOne(text, parse) : parseLines(text, maxEvents, parse, faults);
  if (valid) return inputs;
  const before = faults.length;
  const readable = inputs.map((input, index) => {
    const path = input === UNREADABLE ? null : findUnstorableText(input, MAX_LEVELS);
    if (!path) return input;
    faults.push({ index, pointer: pointerTo(path), code: 'invalid_encoding', message: 'is not valid UTF-8' });
    return UNREADABLE;
  });
  if (faults.length === before && framing === 'json') throw notUtf8();
  return readable;
}

function parseOne(text: string, parse: Parse): unknown[] {
  try {
    const parsed = parse(text);
    return Array.isArray(parsed) ? parsed : [parsed];
  } catch (error) {
    const hint = isLines(Buffer.from(text))
      ? '; for one event a line, send Content-Type: application/x-ndjson'
      : '';
    throw new TidemarkError('invalid_json', `the body is not valid JSON: ${(error as Error).message}${hint}`);
  }
}

/**
 * Whether a body is one input per line: the first of several lines is an object by itself, or is broken, while the second
 * is one and the whole is no document.
 */
function isLines(body: Buffer): boolean {
  const text = body.subarray(Math.max(0, body.indexOf('{')));
  const end = text.indexOf('\n');
  if (end === -1 || text[0] !== '{'.charCodeAt(0) || !isBlank(body.subarray(0, -text.length))) return false;
  const rest = text.subarray(end + 1);
  if (isBlank(rest)) return false;
  if (isJson(text.toString('utf8', 0, end))) return true;
  const next = rest.subarray(Math.max(0, rest.indexOf('{')));
  const nextEnd = next.indexOf('\n');
  if (next[0] !== '{'.charCodeAt(0) || !isBlank(rest.subarray(0, -next.length))) return false;
  return isJson(next.toString('utf8', 0, nextEnd === -1 ? next.length : nextEnd)) && !isJson(body.toString());
}

const isBlank = (bytes: Buffer) => bytes.length < 1_024 && bytes.toString('utf8').trim() === '';

/** Blank lines are passed over, and byte order marks. Neither counts as an event. */
function parseLines(text: string, maxEvents: number, parse: Parse, faults: EventFault[]): unknown[] {
  const inputs: unknown[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    if (inputs.length > maxEvents) break;
    try {
      inputs.push(parse(lineWithoutMark(line)));
    } catch (error) {
      const fault = line.includes(MARKED_BYTE)
        ? { code: 'invalid_encoding', message: 'is not valid UTF-8' }
        : { code: 'invalid_json', message: (error as Error).message };
      faults.push({ index: inputs.length, pointer: '', ...fault });
      inputs.push(UNREADABLE);
    }
  }
  return inputs;
}
