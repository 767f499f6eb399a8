import { DEFAULT_EVENT_TYPE } from '../../src/model/usageEvent.ts';
import type { MeterBody } from '../services/meterCalls.ts';

const common = { eventType: DEFAULT_EVENT_TYPE, dimensions: { region: '$.region', plan: '$.plan' } };

/** Meters that count every event of the load, by two dimensions. Sum, max and latest read one series, since they read one value. */
export const FIVE_METERS = [
  { ...common, slug: 'sum', aggregation: 'sum', value: '$.gb' },
  { ...common, slug: 'count', aggregation: 'count' },
  { ...common, slug: 'max', aggregation: 'max', value: '$.gb' },
  { ...common, slug: 'latest', aggregation: 'latest', value: '$.gb' },
  { ...common, slug: 'unique', aggregation: 'uniqueCount', value: '$.document' },
] as const satisfies MeterBody[];

/** The series that they read. */
export const SERIES = 3;

/** Of a column, without dimensions: the cheapest sum there is. */
export const SUM_OF_COLUMN: Omit<MeterBody, 'slug'> = {
  eventType: DEFAULT_EVENT_TYPE,
  aggregation: 'sum',
  value: '$.tokens',
};

/** Of a member of the metadata, by two dimensions. */
export const SUM_OF_MEMBER: Omit<MeterBody, 'slug'> = { ...common, aggregation: 'sum', value: '$.gb' };
