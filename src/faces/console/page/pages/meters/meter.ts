import { writeJson } from '../../format/json.ts';

export type Condition = { path: string } & Record<string, unknown>;

export interface Definition {
  eventType: string;
  eventFrom: string | null;
  aggregation: string;
  value: string | null;
  dimensions: Record<string, string>;
  filter: Condition[];
}

export interface Meter extends Definition {
  id: string;
  slug: string;
  name: string;
  description: string | null;
  fill: { state: 'filling' | 'complete'; from: string | null; goal: string | null };
  createdAt: string;
  archivedAt: string | null;
  /** Of one that was asked for by itself. */
  ignored?: Record<string, number>;
}

export interface MeterPoint {
  windowStart: string;
  windowEnd: string;
  customerId?: string;
  dimensions?: Record<string, string | null>;
  value: string | null;
  events: number;
  ignored: number;
  state: 'open' | 'closed' | 'revised';
  revision: number;
}

export const AGGREGATIONS: Record<string, string> = {
  sum: 'sum of',
  count: 'number of events',
  avg: 'average of',
  min: 'least of',
  max: 'greatest of',
  latest: 'latest of',
  uniqueCount: 'distinct values of',
};

/** Whether the numbers of windows and groups add up to that of the whole. */
export const adds = ({ aggregation }: Pick<Definition, 'aggregation'>) =>
  aggregation === 'sum' || aggregation === 'count';

/** What it counts, in words: `sum of $.gb of egress`. */
export const described = ({ aggregation, value, eventType }: Definition) =>
  `${AGGREGATIONS[aggregation]} ${aggregation === 'count' ? '' : `${value} `}of ${eventType}`;

/** Operators of conditions, as they are shown. */
export const OPERATORS: Record<string, string> = {
  equals: '=',
  in: 'is one of',
  exists: 'exists',
  greaterThan: '>',
  greaterOrEqual: '≥',
  lessThan: '<',
  lessOrEqual: '≤',
};

/** `$.action is one of "create", "update"`. */
export function conditionText({ path, ...rest }: Condition): string {
  const [operator = '', value] = Object.entries(rest)[0] ?? [];
  const values = Array.isArray(value) ? value : [value];
  return `${path} ${OPERATORS[operator]} ${values.map((one) => writeJson(one, 0)).join(', ')}`;
}

/** Reasons for which events are ignored, as the API names them here and there. */
const REASONS: Record<string, string> = {
  missing: 'nothing there',
  null: 'null',
  notANumber: 'not a number',
  not_a_number: 'not a number',
  not_a_scalar: 'not a scalar',
  outOfRange: 'out of range',
  out_of_range: 'out of range',
  filtered: 'filtered out',
  before_event_from: 'before its start',
};
export const reasonText = (reason: string) => REASONS[reason] ?? reason;

/** `3 nothing there, 2 not a number`; empty where nothing was ignored. */
export const reasonsText = (counts: Record<string, number> = {}) =>
  Object.entries(counts)
    .filter(([, n]) => n > 0)
    .map(([reason, n]) => `${n} ${reasonText(reason)}`)
    .join(', ');
