import { parseJson } from '../../../model/json.ts';
import { cloudEventToEvent } from '../dialects/cloudEvent.ts';
import type { EventRules, EventVerdict } from '../finishEvent.ts';
import { toUsageEvent } from '../toUsageEvent.ts';
import type { OtlpItem } from './otlpItem.ts';

/** An event that was sent as the body of a log record, yet to be checked. */
export type SentEvent = (rules: EventRules, index: number) => EventVerdict;

/**
 * The event in the body of a log record: a map, or a text that is a JSON object, with `specversion`, `id`, `source` and `type`
 * (a CloudEvent) or with `eventId` and `customerId` (a native event); the time of either may be that of the record. Null: it is no event.
 */
export function sentEvent({ body, end }: OtlpItem): SentEvent | null {
  const members = typeof body === 'string' ? objectOf(body) : body;
  if (typeof members !== 'object' || members === null || Array.isArray(members)) return null;
  const has = (...names: string[]) => names.every((name) => Object.hasOwn(members, name));
  if (has('specversion', 'id', 'source', 'type')) {
    const event = has('time') || end === '' ? members : { ...members, time: end };
    return (rules, index) => cloudEventToEvent(event, rules, index);
  }
  if (!has('eventId', 'customerId')) return null;
  const event = has('timestamp') || end === '' ? members : { ...members, timestamp: end };
  return (rules, index) => toUsageEvent(event, rules, index);
}

function objectOf(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    return parseJson(text);
  } catch {
    return undefined; // a line of a log may begin with a brace
  }
}
