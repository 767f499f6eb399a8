import { decimalOf } from '../../../ground/db/numbers.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { PRICED, type Priced } from '../rating/unitPrices.ts';

export const MATCHES = ['exact', 'prefix'] as const;
export type Match = (typeof MATCHES)[number];

/** A code of ISO 4217, by its form: which of them there are is not looked at. */
export const CURRENCY = /^[A-Z]{3}$/;

/** What a price says, whoever brings it. */
export interface PriceTerms {
  model: string;
  /** Whether the model is the whole name, or what it begins with. */
  match: Match;
  /** Null: whichever. */
  provider: string | null;
  /** ISO 4217. */
  currency: string;
  /** In force in [from, to), µs since the epoch; null: without such a bound. */
  fromMicros: number | null;
  toMicros: number | null;
  /** Plain decimals: of a token of each kind, and of a call. At least one. */
  unitPrices: Partial<Record<Priced, string>>;
}

/** A price as it is stored. Never changed: what corrects it supersedes it. */
export interface Price extends PriceTerms {
  id: string;
  /** The price that this one took the place of. */
  supersedes: string | null;
  /** The version of the tenant's list that it came with. */
  version: number;
  createdAt: string;
  /** The first version that goes without it, and since when; null: it holds. */
  supersededIn: number | null;
  supersededAt: string | null;
}

/** The columns of unit prices. */
export const UNIT_COLUMNS: Record<Priced, string> = {
  input: 'input',
  output: 'output',
  cachedInput: 'cached_input',
  reasoning: 'reasoning',
  cacheWrite: 'cache_write',
  audioInput: 'audio_input',
  audioOutput: 'audio_output',
  call: 'call',
};

const micros = (moment: string) =>
  `case when isfinite(${moment}) then (extract(epoch from ${moment}) * 1000000)::bigint end`;

/** Of a table or view that has the columns of `price`. */
export const PRICE_COLUMNS = `id, model, match, provider, currency, ${micros('effective_from')} as from_micros,
  ${micros('effective_to')} as to_micros, ${Object.values(UNIT_COLUMNS)
    .map((column) => `${column}::text`)
    .join(', ')}, supersedes, version, created_at, superseded_in, superseded_at`;

export type PriceRow = {
  id: string;
  model: string;
  match: Match;
  provider: string | null;
  currency: string;
  from_micros: string | null;
  to_micros: string | null;
  supersedes: string | null;
  version: string;
  created_at: Date | string;
  superseded_in: string | null;
  superseded_at: Date | string | null;
} & Record<string, unknown>;

export function toPrice(row: PriceRow): Price {
  const unitPrices: PriceTerms['unitPrices'] = {};
  for (const unit of PRICED) {
    const price = row[UNIT_COLUMNS[unit]] as string | null;
    if (price !== null) unitPrices[unit] = decimalOf(price);
  }
  return {
    id: row.id,
    model: row.model,
    match: row.match,
    provider: row.provider,
    currency: row.currency,
    fromMicros: row.from_micros === null ? null : Number(row.from_micros),
    toMicros: row.to_micros === null ? null : Number(row.to_micros),
    unitPrices,
    supersedes: row.supersedes,
    version: Number(row.version),
    createdAt: new Date(row.created_at).toISOString(),
    supersededIn: row.superseded_in === null ? null : Number(row.superseded_in),
    supersededAt: row.superseded_at === null ? null : new Date(row.superseded_at).toISOString(),
  };
}

/** A price as it is answered: moments as texts. */
export function priceJson({ fromMicros, toMicros, ...price }: Price) {
  const { id, model, match, provider, currency, unitPrices, ...made } = price;
  const effective = {
    effectiveFrom: fromMicros === null ? null : formatTimestamp(fromMicros),
    effectiveTo: toMicros === null ? null : formatTimestamp(toMicros),
  };
  return { id, model, match, provider, currency, ...effective, unitPrices, ...made };
}
