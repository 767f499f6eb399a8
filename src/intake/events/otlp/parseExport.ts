import { type EventFault, TidemarkError } from '../../../model/errors.ts';
import type { UsageEvent } from '../../../model/usageEvent.ts';
import type { EventRules, EventVerdict } from '../finishEvent.ts';
import type { ParsedEvents } from '../parseEvents.ts';
import { type Call, callOf } from './call.ts';
import { type CustomerRule, callToEvent } from './callToEvent.ts';
import { wantedAttributes } from './conventions.ts';
import { oneOfEach } from './oneOfEach.ts';
import type { OtlpItem, Signal } from './otlpItem.ts';
import { readJsonExport } from './readJsonExport.ts';
import { readProtobufExport } from './readProtobufExport.ts';
import { type SentEvent, sentEvent } from './sentEvent.ts';

/** How the body of an export is to be read. */
export interface ExportFormat {
  signal: Signal;
  encoding: 'json' | 'protobuf';
}

/** The usage in an export. Indexes are of calls and events that were sent, in that order, and `total` is of both. */
export interface ParsedExport extends ParsedEvents {
  /** Where each of them is in the export: JSON pointers. */
  paths: string[];
  /** Spans or log records that are no usage. */
  ignored: number;
  /** Those that tell of a call that another one tells of. */
  repeated: number;
  /** Calls without counts among the events. */
  unknown: number;
}

/**
 * Reads an export of OpenTelemetry's, and makes events of the calls of models in it, and of the events that are the bodies
 * of log records.
 *
 * @param maxEvents how many an export may hold; what is no usage does not count.
 * @throws {TidemarkError} `invalid_encoding`, `invalid_json`, `invalid_request`, `too_many_events`.
 */
export function parseExport(
  body: Buffer,
  { signal, encoding }: ExportFormat,
  rules: Omit<EventRules, 'checkText' | 'onDoubt'>,
  customer: CustomerRule,
  maxEvents: number,
): ParsedExport {
  const told: Call[] = [];
  const sent: { item: OtlpItem; event: SentEvent }[] = [];
  let ignored = 0;
  const read = encoding === 'json' ? readJsonExport : readProtobufExport;
  const wanted = wantedAttributes(customer.attributes);
  read(body, signal, wanted, (item) => {
    const event = item.body === undefined ? null : sentEvent(item);
    const call = event === null ? callOf(item) : null;
    if (event !== null) sent.push({ item, event });
    else if (call !== null) told.push(call);
    else ignored++;
    if (told.length + sent.length > maxEvents) {
      throw new TidemarkError('too_many_events', `an export may hold at most ${maxEvents} calls of models`);
    }
  });
  const calls = oneOfEach(told);
  // JSON that is UTF-8 has no other way to hold what PostgreSQL refuses.
  const checkText = encoding === 'protobuf' || body.includes('\\u');
  const verdicts = new Verdicts();
  const ofCalls = { ...rules, checkText };
  for (const call of calls) {
    verdicts.take(call.item, callToEvent(call, customer, wanted, ofCalls, verdicts.total));
  }
  const ofSent = { ...rules, checkText: true };
  for (const { item, event } of sent) verdicts.take(item, event(ofSent, verdicts.total));
  const unknown = calls.reduce((sum, { usage }) => sum + (usage.status === 'counted' ? 0 : 1), 0);
  return { ...verdicts.all(), ignored, repeated: told.length - calls.length, unknown };
}

/** What became of each, as it goes. */
class Verdicts {
  total = 0;
  private readonly events: UsageEvent[] = [];
  private readonly indexes: number[] = [];
  private readonly faults: EventFault[] = [];
  private readonly paths: string[] = [];

  take({ list, position }: OtlpItem, { event, faults }: EventVerdict): void {
    if (event) {
      this.events.push(event);
      this.indexes.push(this.total);
    } else this.faults.push(...faults);
    this.paths.push(`${list}/${position}`);
    this.total++;
  }

  all(): ParsedEvents & { paths: string[] } {
    const { events, indexes, faults, paths, total } = this;
    return { events, indexes, faults, paths, total };
  }
}
