import { PRICED } from '../rating/unitPrices.ts';
import type { NewPrice } from './newPrice.ts';
import type { Price, PriceTerms } from './price.ts';

/** What has to be put so that a list is as it is wanted. */
export interface PricePlan {
  put: NewPrice[];
  /** Of what is wanted: how many there was no price for, another one, and the same. */
  added: number;
  changed: number;
  unchanged: number;
}

/**
 * Compares prices that are wanted with those that hold. One that says when it is in force is to be there with just these bounds, and
 * supersedes one that is there with them at another price. One that does not say is to be in force from a moment on: the one before
 * ends there; where there has never been one, since ever. What is as it is wanted is left alone, so that doing it again does nothing.
 *
 * @param there those that hold.
 * @param atMicros from when on prices that do not say so are in force, in µs since the epoch.
 */
export function planPrices(
  there: readonly Price[],
  wanted: readonly PriceTerms[],
  atMicros: number,
): PricePlan {
  const kinds = new Map<string, Price[]>();
  for (const price of there) {
    const key = keyOf(price);
    kinds.set(key, [...(kinds.get(key) ?? []), price]);
  }
  const plan: PricePlan = { put: [], added: 0, changed: 0, unchanged: 0 };
  for (const terms of wanted) {
    const others = kinds.get(keyOf(terms)) ?? [];
    const isDated = terms.fromMicros !== null || terms.toMicros !== null;
    const steps = isDated ? dated(others, terms) : from(others, terms, atMicros);
    if (steps === null) plan.unchanged++;
    else {
      plan.put.push(...steps);
      plan[steps.some(({ supersedes }) => supersedes !== null) ? 'changed' : 'added']++;
    }
  }
  return plan;
}

function dated(others: readonly Price[], terms: PriceTerms): NewPrice[] | null {
  const same = others.find(
    ({ fromMicros, toMicros }) => fromMicros === terms.fromMicros && toMicros === terms.toMicros,
  );
  if (!same) return [{ ...terms, supersedes: null }];
  return hasPrices(same, terms) ? null : [{ ...terms, supersedes: same.id }];
}

function from(others: readonly Price[], terms: PriceTerms, atMicros: number): NewPrice[] | null {
  if (others.length === 0) return [{ ...terms, supersedes: null }];
  const current = others.find(
    ({ fromMicros, toMicros }) => (fromMicros ?? -Infinity) <= atMicros && atMicros < (toMicros ?? Infinity),
  );
  if (!current) {
    const later = others
      .map(({ fromMicros }) => fromMicros ?? -Infinity)
      .filter((micros) => micros > atMicros);
    const toMicros = later.length === 0 ? null : Math.min(...later);
    return [{ ...terms, fromMicros: atMicros, toMicros, supersedes: null }];
  }
  if (hasPrices(current, terms)) return null;
  const { fromMicros, toMicros } = current;
  if (fromMicros === atMicros) return [{ ...terms, fromMicros, toMicros, supersedes: current.id }];
  const { model, match, provider, currency, unitPrices } = current;
  return [
    { model, match, provider, currency, unitPrices, fromMicros, toMicros: atMicros, supersedes: current.id },
    { ...terms, fromMicros: atMicros, toMicros, supersedes: null },
  ];
}

function keyOf({ model, match, provider, currency }: PriceTerms): string {
  return JSON.stringify([model, match, provider, currency]);
}

function hasPrices(a: PriceTerms, b: PriceTerms): boolean {
  return PRICED.every((unit) => a.unitPrices[unit] === b.unitPrices[unit]);
}
