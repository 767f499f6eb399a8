import { describe, expect, it } from 'vitest';
import type { PriceTerms } from '../catalog/price.ts';
import { PriceBook } from './priceBook.ts';
import { ratesOf } from './rates.ts';

const price = (call: string, terms: Partial<PriceTerms> = {}): PriceTerms => ({
  ...{ model: 'gpt-4o', match: 'exact', provider: null, currency: 'USD', fromMicros: null, toMicros: null },
  unitPrices: { call },
  ...terms,
});
const found = (
  prices: PriceTerms[],
  model: string | null,
  provider: string | null = null,
  at = 0,
  currency = 'USD',
) => {
  const rates = new PriceBook(prices).find(model, provider, currency, at);
  return rates && Number(rates.call / 10n ** 24n);
};

describe('PriceBook', () => {
  it('finds the most specific price: the whole name, then the longest beginning, then the provider', () => {
    const prices = [
      price('1', { match: 'prefix', model: 'gpt-' }),
      price('2', { match: 'prefix', model: 'gpt-4' }),
      price('3', { match: 'prefix', model: 'gpt-4', provider: 'azure' }),
      price('4'),
      price('5', { provider: 'openai' }),
    ];
    expect(found(prices, 'gpt-3')).toBe(1);
    expect(found(prices, 'gpt-4.1', 'openai')).toBe(2);
    expect(found(prices, 'gpt-4.1', 'azure')).toBe(3);
    expect(found(prices, 'gpt-4o', 'azure')).toBe(4);
    expect(found(prices, 'gpt-4o')).toBe(4);
    expect(found(prices, 'gpt-4o', 'openai')).toBe(5);
    expect(found(prices, 'claude')).toBeUndefined();
    expect(found(prices, null)).toBeUndefined();
  });

  it('takes one for a provider for no event that does not name it', () => {
    expect(found([price('1', { provider: 'openai' })], 'gpt-4o')).toBeUndefined();
    expect(found([price('1', { provider: 'openai' }), price('2', { match: 'prefix' })], 'gpt-4o')).toBe(2);
  });

  it('is in force from its first microsecond up to its end, and each currency a list of its own', () => {
    const prices = [
      price('1', { toMicros: 100 }),
      price('2', { fromMicros: 100, toMicros: 200 }),
      price('3', { currency: 'EUR', fromMicros: 150 }),
    ];
    expect([99, 100, 199, 200].map((at) => found(prices, 'gpt-4o', null, at))).toEqual([1, 2, 2, undefined]);
    expect([149, 150].map((at) => found(prices, 'gpt-4o', null, at, 'EUR'))).toEqual([undefined, 3]);
    const book = new PriceBook(prices);
    expect([book.changes, book.currencies, book.size]).toEqual([[100, 150, 200], ['EUR', 'USD'], 3]);
  });
});

describe('ratesOf', () => {
  const [INPUT, OUTPUT, CACHED, REASONING, WRITTEN, HEARD, SPOKEN, UNSPLIT] = [0, 1, 2, 3, 4, 5, 6, 7];
  const units = 10n ** 24n;

  it('has what is left out cost what the whole costs that it is a part of', () => {
    const { tokens, call, needsCounts } = ratesOf({ input: '2', output: '3', cachedInput: '1', call: '4' });
    expect([INPUT, CACHED, WRITTEN, HEARD].map((kind) => tokens[kind]! / units)).toEqual([2n, 1n, 2n, 2n]);
    expect([OUTPUT, REASONING, SPOKEN].map((kind) => tokens[kind]! / units)).toEqual([3n, 3n, 3n]);
    expect([tokens[UNSPLIT], call / units, needsCounts]).toEqual([null, 4n, true]);
  });

  it('says nothing of a kind that it has no price for, unless it is of calls alone', () => {
    expect(ratesOf({ input: '2' }).tokens.slice(0, 2)).toEqual([2n * units, null]);
    expect(ratesOf({ call: '2' })).toEqual({
      tokens: Array(8).fill(0n),
      call: 2n * units,
      needsCounts: false,
    });
    expect(ratesOf({ input: '0', output: '0' }).needsCounts).toBe(false);
  });
});
