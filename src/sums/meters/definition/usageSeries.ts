import type { SeriesDefinition } from './meterDefinition.ts';

/**
 * What tokens are counted by. Each token is of one kind, so that a cost is a sum of products: `input` is what is left of all
 * input once the parts that may have prices of their own are taken out of it, `output` likewise. `unsplit` are tokens of which
 * nobody said whether they were input or output.
 *
 * The order is that of their places in a packed number (packCounts.ts) and stands in the database.
 */
export const TOKEN_KINDS = [
  'input',
  'output',
  'cachedInput',
  'reasoning',
  'cacheWrite',
  'audioInput',
  'audioOutput',
  'unsplit',
] as const;
export type TokenKind = (typeof TOKEN_KINDS)[number];

/** What usage can be told apart by besides the customer: in the place of a series' paths, which these are not. */
export const USAGE_DIMENSIONS = ['eventType', 'apiEndpoint', 'model', 'provider'] as const;
export type UsageDimension = (typeof USAGE_DIMENSIONS)[number];

/** Longest name of a provider, in characters: a longer one counts as none. */
export const MAX_PROVIDER = 64;

/** The series of all AI usage of a tenant: of events of every type. A tenant with prices has one (docs/adr/0041). */
export const USAGE_SERIES: SeriesDefinition = {
  kind: 'usage',
  eventType: '', // which no event has
  eventFromMicros: null,
  filter: [],
  paths: [...USAGE_DIMENSIONS],
  value: null,
  distinct: false,
};
