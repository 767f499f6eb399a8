import type { PriceTerms } from '../catalog/price.ts';
import { type Rates, ratesOf } from './rates.ts';

/** A price as costs are made with it. */
interface BookPrice {
  provider: string | null;
  currency: string;
  from: number;
  to: number;
  rates: Rates;
}

/**
 * The prices of a tenant at one version of its list, in the order in which they are looked for. Each currency is a list of its
 * own. In one, of the prices in force the most specific one counts: the whole name before a beginning, a longer beginning
 * before a shorter one, and of those a price for the provider before one for any.
 */
export class PriceBook {
  static readonly EMPTY = new PriceBook([]);

  /** Moments, in µs since the epoch, at which a price comes into force or ceases to be, ascending, each once. */
  readonly changes: readonly number[];
  /** In alphabetical order. */
  readonly currencies: readonly string[];
  readonly size: number;
  private readonly exact = new Map<string, BookPrice[]>();
  /** By length, the longest first. */
  private readonly prefixes: { length: number; prices: Map<string, BookPrice[]> }[];

  /** @param prices that hold: of two of the same model, match, provider and currency only one is in force at a time. */
  constructor(prices: readonly PriceTerms[]) {
    const byLength = new Map<number, Map<string, BookPrice[]>>();
    const changes = new Set<number>();
    for (const { model, match, provider, currency, fromMicros, toMicros, unitPrices } of prices) {
      if (fromMicros !== null) changes.add(fromMicros);
      if (toMicros !== null) changes.add(toMicros);
      let at = this.exact;
      if (match === 'prefix') {
        at = byLength.get(model.length) ?? new Map();
        byLength.set(model.length, at);
      }
      const price: BookPrice = {
        provider,
        currency,
        from: fromMicros ?? Number.NEGATIVE_INFINITY,
        to: toMicros ?? Number.POSITIVE_INFINITY,
        rates: ratesOf(unitPrices),
      };
      const others = at.get(model);
      if (others) others.push(price);
      else at.set(model, [price]);
    }
    this.size = prices.length;
    this.changes = [...changes].sort((a, b) => a - b);
    this.currencies = [...new Set(prices.map(({ currency }) => currency))].sort();
    this.prefixes = [...byLength].sort(([a], [b]) => b - a).map(([length, prices]) => ({ length, prices }));
  }

  /** The rates of a call at a moment, in µs since the epoch; undefined: there is no price for it in this currency. */
  find(model: string | null, provider: string | null, currency: string, atMicros: number): Rates | undefined {
    if (model === null) return undefined;
    const inForce = (prices: BookPrice[] | undefined): Rates | undefined => {
      let found: BookPrice | undefined;
      for (const price of prices ?? []) {
        if (price.currency !== currency || atMicros < price.from || atMicros >= price.to) continue;
        if (price.provider === null) found ??= price;
        else if (price.provider === provider) return price.rates;
      }
      return found?.rates;
    };
    const rates = inForce(this.exact.get(model));
    if (rates) return rates;
    for (const { length, prices } of this.prefixes) {
      const found = length <= model.length ? inForce(prices.get(model.slice(0, length))) : undefined;
      if (found) return found;
    }
    return undefined;
  }
}
