import { isUtf8 } from 'node:buffer';
import { type EventFault, TidemarkError } from '../errors.ts';
import { binaryCloudEvent } from './dialects/binaryCloudEvent.ts';
import { cloudEventToEvent } from './dialects/cloudEvent.ts';
import { incrementToEvent } from './dialects/increment.ts';
import { recordToEvent } from './dialects/record.ts';
import type { EventRules, EventVerdict } from './finishEvent.ts';
import { mayHoldUnstorableText } from './text.ts';
import { toUsageEvent } from './toUsageEvent.ts';
import type { UsageEvent } from './usageEvent.ts';

export type Dialect = 'native' | 'cloudevents' | 'record' | 'increment';

/** How a body is to be read. */
export interface EventFormat {
  dialect: Dialect;
  /** json: one input or an array of them; ndjson: one per line. */
  framing: 'json' | 'ndjson';
  /**
   * Of a CloudEvent in binary mode: its attributes by name, `datacontenttype` among them. The body is its data then,
   * and the framing means nothing.
   */
  attributes?: Readonly<Record<string, string>>;
}

type ToEvent = (input: unknown, rules: EventRules, index: number) => EventVerdict;

const TO_EVENT: Record<Dialect, ToEvent> = {
  native: toUsageEvent,
  cloudevents: cloudEventToEvent,
  record: recordToEvent,
  increment: incrementToEvent,
};

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
  body: Buffer,
  format: EventFormat,
  rules: Omit<EventRules, 'checkText'>,
  maxEvents: number,
): ParsedEvents {
  const faults: EventFault[] = [];
  const { inputs, checkText } = format.attributes
    ? { inputs: [binaryCloudEvent(format.attributes, body)], checkText: true }
    : parseBody(body, format.framing, maxEvents, faults);
  const checked = { ...rules, checkText };
  if (inputs.length === 0) throw new TidemarkError('empty_batch', 'the request holds no event');
  if (inputs.length > maxEvents) {
    throw new TidemarkError('too_many_events', `a request may hold at most ${maxEvents} events`);
  }
  const toEvent = TO_EVENT[format.dialect];
  const events: UsageEvent[] = [];
  const indexes: number[] = [];
  for (let index = 0; index < inputs.length; index++) {
    if (inputs[index] === UNPARSEABLE) continue;
    const verdict = toEvent(inputs[index], checked, index);
    if (verdict.event) {
      events.push(verdict.event);
      indexes.push(index);
    } else {
      for (const fault of verdict.faults) faults.push(fault);
    }
  }
  faults.sort((a, b) => a.index - b.index);
  return { events, indexes, faults, total: inputs.length };
}

function parseBody(
  body: Buffer,
  framing: EventFormat['framing'],
  maxEvents: number,
  faults: EventFault[],
): { inputs: unknown[]; checkText: boolean } {
  if (!isUtf8(body)) throw new TidemarkError('invalid_encoding', 'the body is not valid UTF-8');
  const text = body.toString('utf8');
  const inputs = framing === 'json' ? parseJson(text) : parseLines(text, maxEvents, faults);
  return { inputs, checkText: mayHoldUnstorableText(text) };
}

const UNPARSEABLE = Symbol('a line that is not JSON');

function parseJson(text: string): unknown[] {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed : [parsed];
  } catch (error) {
    throw new TidemarkError('invalid_json', `the body is not valid JSON: ${(error as Error).message}`);
  }
}

/** Blank lines are passed over; they do not count as events. */
function parseLines(text: string, maxEvents: number, faults: EventFault[]): unknown[] {
  const inputs: unknown[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    if (inputs.length > maxEvents) break;
    try {
      inputs.push(JSON.parse(line));
    } catch (error) {
      faults.push({
        index: inputs.length,
        pointer: '',
        code: 'invalid_json',
        message: (error as Error).message,
      });
      inputs.push(UNPARSEABLE);
    }
  }
  return inputs;
}
