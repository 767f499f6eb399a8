import type { ZoneOffset } from '../../../ground/zones/zoneOffset.ts';
import type { TokenKind } from '../../meters/definition/usageSeries.ts';
import type { Granularity } from '../../rollups/granularity.ts';

export const COST_GROUPINGS = ['customer', 'model', 'provider', 'endpoint', 'eventType'] as const;
export type CostGrouping = (typeof COST_GROUPINGS)[number];

/** The field of a point that holds what was grouped by. */
export const COST_FIELD = {
  customer: 'customerId',
  model: 'model',
  provider: 'provider',
  endpoint: 'endpoint',
  eventType: 'eventType',
} as const satisfies Record<CostGrouping, string>;

/** What is asked of costs. */
export interface CostSeriesQuery {
  /** [from, to) in µs since the epoch. */
  fromMicros: number;
  toMicros: number;
  granularity: Granularity;
  /** Of the time zone, from 70 days before the range on. */
  offsets: readonly ZoneOffset[];
  groupBy: readonly CostGrouping[];
  customerId?: string | undefined;
  model?: string | undefined;
  provider?: string | undefined;
  endpoint?: string | undefined;
  eventType?: string | undefined;
  /** By the prices of this version of the list; left out: those of now. */
  priceVersion?: number | undefined;
}

export interface CostQuery extends CostSeriesQuery {
  cursor?: string | undefined;
  limit: number;
}

/** What is added up in one currency. */
export interface CostSum {
  currency: string;
  /** Exact plain decimal. */
  amount: string;
  /** Calls that have a price in it. */
  calls: number;
}

/** Tokens by kind, those that there are. In digits, however many. */
export type TokensByKind = Partial<Record<TokenKind, string>>;

/** What some usage costs. */
export interface Costs {
  /** AI calls, and of them those of which no tokens are known. */
  calls: number;
  unknownCalls: number;
  tokens: TokensByKind;
  /** By currency, in alphabetical order. Each is a list of its own: usage with prices in two is in both. */
  costs: CostSum[];
  /** What has no price in any currency, and is in no cost: calls without one, of them those without tokens that are known, and tokens. */
  unpriced: { calls: number; unknownCalls: number; tokens: TokensByKind };
}

/** One bucket of the series, or one group of one bucket. */
export interface CostPoint extends Costs {
  /** Of the whole bucket, as its end, also where the range has only a part of it. */
  bucket: string;
  bucketEnd: string;
  customerId?: string | null;
  model?: string | null;
  provider?: string | null;
  endpoint?: string | null;
  eventType?: string | null;
}

/** By which prices an answer was made. */
export interface PriceVersion {
  /** 0: the tenant has never had a price. */
  priceVersion: number;
  /** When that version came to be; null: never. */
  pricesChangedAt: string | null;
}
