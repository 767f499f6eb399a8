import type { ZoneOffset } from '../../../ground/zones/zoneOffset.ts';
import type { AsOf } from '../../asof/asOf.ts';
import type { Granularity } from '../../rollups/granularity.ts';

/** Groups by customers, beside a meter's own dimensions, none of which can be called so. */
export const CUSTOMER = 'customer';

/** What is asked of a meter. */
export interface MeterQuery {
  /** [from, to) in microseconds since the epoch. */
  fromMicros: number;
  toMicros: number;
  /** Null: one row, or one a group, for the whole range. */
  granularity: Granularity | null;
  /** Of the time zone whose hours, days and months are meant, from 70 days before the range on. */
  offsets: readonly ZoneOffset[];
  /** `customer` and names of dimensions. */
  groupBy: string[];
  /** Null: all. */
  customers: string[] | null;
  /** By dimension, the values that count; null among them: where there is none. */
  filters: Record<string, (string | null)[]>;
  /** Left out: as it is now. */
  asOf?: AsOf | undefined;
  cursor?: string | undefined;
  limit: number;
}

/** What a row's windows are: not all closed yet, all closed, or closed and changed by late events since. */
export type PointState = 'open' | 'closed' | 'revised';

/** One window of the answer, or one group of one window. */
export interface MeterPoint {
  /** Of the whole window, also where the range has only a part of it; of a query without granularity, the range. */
  windowStart: string;
  windowEnd: string;
  /** Only where it was grouped by, as each of the dimensions. */
  customerId?: string;
  dimensions?: Record<string, string | null>;
  /** Exact decimal. Null: no event had a value to aggregate. */
  value: string | null;
  /** How many events match. */
  events: string;
  /** How many of them had a value that counts. */
  counted: string;
  /** And how many had none. */
  ignored: string;
  state: PointState;
  /** How often its windows were changed by late events since they closed. */
  revision: number;
}
