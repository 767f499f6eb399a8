import { parseExact } from '../../format/json.ts';
import { fromLocal } from '../../format/times.ts';
import { isNumber, lastName, nameOf, type SeenPath } from './paths.ts';

/** A row of a form that can be taken away: a dimension. */
export interface Named {
  name: string;
  path: string;
}

export interface Condition {
  path: string;
  operator: string;
  /** As it is typed. */
  value: string;
}

/** A meter as it is typed. */
export interface Draft {
  slug: string;
  name: string;
  eventType: string;
  aggregation: string;
  /** Whether somebody chose the aggregation; else it goes by what is measured. */
  chosen: boolean;
  value: string;
  dimensions: Named[];
  filter: Condition[];
  /** A clock time of the zone. */
  eventFrom: string;
}

export const EMPTY: Draft = {
  slug: '',
  name: '',
  eventType: '',
  aggregation: 'count',
  chosen: false,
  value: '',
  dimensions: [],
  filter: [],
  eventFrom: '',
};

/** What changes when a path is measured. Only an aggregation that was chosen, and that needs a value, stays. */
export function measured(
  { aggregation, chosen, dimensions }: Draft,
  { path, example }: Pick<SeenPath, 'path' | 'example'>,
): Partial<Draft> {
  const guess = isNumber(example) ? 'sum' : 'uniqueCount';
  return {
    value: path,
    dimensions: dimensions.filter((one) => one.path !== path),
    aggregation: chosen && aggregation !== 'count' ? aggregation : guess,
  };
}

/** The slug that is proposed while none has been typed. */
export const slugOf = ({ slug, eventType, aggregation, value }: Draft) =>
  slug ||
  nameOf(
    eventType,
    ...(aggregation === 'count'
      ? []
      : [...(aggregation === 'sum' ? [] : [aggregation.slice(0, 6)]), lastName(value)]),
  );

/** What the API takes for its definition. */
export function definitionOf(
  { eventType, aggregation, value, dimensions, filter, eventFrom }: Draft,
  zone: string,
) {
  const named = dimensions.filter(({ name, path }) => name !== '' && path !== '');
  const conditions = filter.filter(({ path }) => path !== '');
  return {
    eventType,
    aggregation,
    ...(aggregation !== 'count' && { value }),
    ...(named.length > 0 && { dimensions: Object.fromEntries(named.map(({ name, path }) => [name, path])) }),
    ...(conditions.length > 0 && { filter: conditions.map(conditionOf) }),
    ...(eventFrom !== '' && { eventFrom: fromLocal(eventFrom, zone).toISOString() }),
  };
}

function conditionOf({ path, operator, value }: Condition) {
  if (operator === 'in') return { path, in: value.split(',').map((one) => scalar(one.trim())) };
  if (operator === 'exists') return { path, exists: value !== 'false' };
  // A bound may be a text, with more digits than a number has.
  return { path, [operator]: operator === 'equals' ? scalar(value) : value };
}

/** What was typed: a number with its digits, true, false or null, or else a text; in quotes always a text. */
function scalar(typed: string): unknown {
  try {
    const read = parseExact(typed);
    if (typeof read !== 'object' || read === null) return read;
  } catch {
    // a text
  }
  return typed;
}
