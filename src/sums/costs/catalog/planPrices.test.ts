import { describe, expect, it } from 'vitest';
import { planPrices } from './planPrices.ts';
import type { Price, PriceTerms } from './price.ts';

const terms = (input: string, more: Partial<PriceTerms> = {}): PriceTerms => ({
  ...{ model: 'm', match: 'exact', provider: null, currency: 'USD', fromMicros: null, toMicros: null },
  unitPrices: { input },
  ...more,
});
const price = (id: string, input: string, more: Partial<PriceTerms> = {}): Price => ({
  ...terms(input, more),
  ...{ id, supersedes: null, version: 1, createdAt: '', supersededIn: null, supersededAt: null },
});

describe('planPrices', () => {
  it('adds what there was no price for, since ever', () => {
    expect(planPrices([price('a', '1', { currency: 'EUR' })], [terms('1')], 50)).toEqual({
      ...{ put: [{ ...terms('1'), supersedes: null }], added: 1, changed: 0, unchanged: 0 },
    });
  });

  it('leaves what is as it is wanted, whenever it began', () => {
    const plan = planPrices([price('a', '1', { fromMicros: 10 })], [terms('1')], 50);
    expect(plan).toEqual({ put: [], added: 0, changed: 0, unchanged: 1 });
  });

  it('ends what is in force, and goes on from there up to where that would have ended', () => {
    const { put, changed } = planPrices([price('a', '1', { toMicros: 90 })], [terms('2')], 50);
    expect(changed).toBe(1);
    expect(put).toEqual([
      { ...terms('1', { toMicros: 50 }), supersedes: 'a' },
      { ...terms('2', { fromMicros: 50, toMicros: 90 }), supersedes: null },
    ]);
  });

  it('takes the place of one that begins at the same moment', () => {
    const { put } = planPrices([price('a', '1', { fromMicros: 50 })], [terms('2')], 50);
    expect(put).toEqual([{ ...terms('2', { fromMicros: 50 }), supersedes: 'a' }]);
  });

  it('begins anew behind what has ended, before what is to come', () => {
    const there = [price('a', '1', { toMicros: 20 }), price('b', '3', { fromMicros: 80 })];
    expect(planPrices(there, [terms('2')], 50).put).toEqual([
      { ...terms('2', { fromMicros: 50, toMicros: 80 }), supersedes: null },
    ]);
  });

  it('has those that say when at just these bounds', () => {
    const bounds = { fromMicros: 10, toMicros: 20 };
    const there = [price('a', '1', bounds)];
    expect(planPrices(there, [terms('1', bounds)], 50).unchanged).toBe(1);
    expect(planPrices(there, [terms('2', bounds)], 50).put).toEqual([
      { ...terms('2', bounds), supersedes: 'a' },
    ]);
    const others = { fromMicros: 20, toMicros: 30 };
    expect(planPrices(there, [terms('2', others)], 50).put).toEqual([
      { ...terms('2', others), supersedes: null },
    ]);
  });

  it('done again does nothing', () => {
    const wanted = [terms('2'), terms('5', { model: 'n' })];
    const { put } = planPrices([price('a', '1')], wanted, 50);
    const after = put.map((one, i) => price(`${i}`, one.unitPrices.input!, one));
    expect(planPrices(after, wanted, 60)).toEqual({ put: [], added: 0, changed: 0, unchanged: 2 });
  });
});
