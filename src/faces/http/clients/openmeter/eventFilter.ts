import { TidemarkError } from '../../../../model/errors.ts';
import type { EventQuery } from '../../../../sums/listing/listEvents.ts';
import { instantOf } from '../../range.ts';
import { requireStorable } from '../requireStorable.ts';

/** What a list of events can be asked for by its filter. */
type Conditions = Pick<
  EventQuery,
  'eventId' | 'idPart' | 'customers' | 'eventType' | 'sourceId' | 'receivedFrom' | 'receivedTo'
> & { from?: string; to?: string };

const MS = 1;

/**
 * The filter of the second list of events: JSON, by field an object of operators. Those that can be answered here are
 * `$eq` of id, source and type, `$like` of id (part of it, `%` at its ends), `$eq` and `$in` of subject and customerId,
 * and comparisons of time and ingestedAt, to the millisecond.
 *
 * @throws {TidemarkError} `invalid_request`; `not_implemented` for another field or operator; `range_invalid`.
 */
export function readEventFilter(json: string | undefined): Conditions {
  const conditions: Conditions = {};
  for (const [field, operators] of Object.entries(membersOf('filter', parsed(json)))) {
    for (const [operator, value] of Object.entries(membersOf(field, operators))) {
      apply(conditions, field, operator, value);
    }
  }
  return conditions;
}

function apply(conditions: Conditions, field: string, operator: string, value: unknown): void {
  const name = `${field} ${operator}`;
  switch (name) {
    case 'id $eq':
      conditions.eventId = text(name, value);
      return;
    case 'id $like':
      conditions.idPart = text(name, value).replace(/^%|%$/g, '');
      return;
    case 'source $eq':
      conditions.sourceId = text(name, value);
      return;
    case 'type $eq':
      conditions.eventType = text(name, value);
      return;
    case 'subject $eq':
    case 'customerId $eq':
    case 'subject $in':
    case 'customerId $in': {
      const asked = (Array.isArray(value) ? value : [value]).map((one) => text(name, one));
      conditions.customers = conditions.customers?.filter((one) => asked.includes(one)) ?? asked;
      return;
    }
    case 'time $gte':
    case 'time $gt':
      conditions.from = moment(name, value, operator === '$gt');
      return;
    case 'time $lt':
    case 'time $lte':
      conditions.to = moment(name, value, operator === '$lte');
      return;
    case 'ingestedAt $gte':
    case 'ingestedAt $gt':
      conditions.receivedFrom = Date.parse(moment(name, value, operator === '$gt'));
      return;
    case 'ingestedAt $lt':
    case 'ingestedAt $lte':
      conditions.receivedTo = Date.parse(moment(name, value, operator === '$lte'));
      return;
    default:
      throw new TidemarkError('not_implemented', `events cannot be listed by ${name} here`);
  }
}

/** @param after the next ms is meant. */
function moment(name: string, value: unknown, after: boolean): string {
  return new Date(instantOf(name, text(name, value)) + (after ? MS : 0)).toISOString();
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string') return requireStorable(name, value);
  throw new TidemarkError('invalid_request', `${name} must be a text`);
}

function parsed(json: string | undefined): unknown {
  if (json === undefined) return {};
  try {
    return JSON.parse(json);
  } catch {
    throw new TidemarkError('invalid_request', 'filter must be JSON');
  }
}

function membersOf(name: string, value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new TidemarkError('invalid_request', `${name} must be an object`);
}
