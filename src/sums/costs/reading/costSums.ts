import { TOKEN_KINDS } from '../../meters/definition/usageSeries.ts';
import type { PriceBook } from '../rating/priceBook.ts';
import { costOf, type Rates } from '../rating/rates.ts';
import { amountOf } from '../rating/unitPrices.ts';
import type { Costs, TokensByKind } from './costQuery.ts';
import type { CostRow } from './costRows.ts';

/**
 * Adds up what usage costs by the prices of one list. A call without counts has a cost where its price is of calls alone; by one of
 * tokens it has none, and is told apart.
 */
export class CostSums {
  private readonly book: PriceBook;
  private calls = 0n;
  private unknownCalls = 0n;
  private readonly tokens = noTokens();
  private readonly sums = new Map<string, { units: bigint; calls: bigint }>();
  private readonly unpriced = { calls: 0n, unknownCalls: 0n, tokens: noTokens() };

  constructor(book: PriceBook) {
    this.book = book;
  }

  add({ model, provider, pricesFromMicros, calls, unknownCalls, tokens }: CostRow): void {
    const { book, unpriced } = this;
    this.calls += calls;
    this.unknownCalls += unknownCalls;
    addTo(this.tokens, tokens);
    const found: Rates[] = [];
    for (const currency of book.currencies) {
      const rates = book.find(model, provider, currency, pricesFromMicros);
      if (rates === undefined) continue;
      found.push(rates);
      const rated = rates.needsCounts ? calls - unknownCalls : calls;
      if (rated === 0n) continue;
      const sum = this.sums.get(currency) ?? { units: 0n, calls: 0n };
      this.sums.set(currency, sum);
      sum.units += costOf(rates, rated, tokens);
      sum.calls += rated;
    }
    if (found.every((rates) => rates.needsCounts)) {
      unpriced.calls += found.length === 0 ? calls : unknownCalls;
      unpriced.unknownCalls += unknownCalls;
    }
    addTo(
      unpriced.tokens,
      tokens.map((count, kind) => (found.every((rates) => rates.tokens[kind] === null) ? count : 0n)),
    );
  }

  end(): Costs {
    const { unpriced } = this;
    return {
      calls: Number(this.calls),
      unknownCalls: Number(this.unknownCalls),
      tokens: byKind(this.tokens),
      costs: [...this.sums]
        .map(([currency, { units, calls }]) => ({ currency, amount: amountOf(units), calls: Number(calls) }))
        .sort((a, b) => (a.currency < b.currency ? -1 : 1)),
      unpriced: {
        calls: Number(unpriced.calls),
        unknownCalls: Number(unpriced.unknownCalls),
        tokens: byKind(unpriced.tokens),
      },
    };
  }
}

function noTokens(): bigint[] {
  return TOKEN_KINDS.map(() => 0n);
}

function addTo(sums: bigint[], counts: readonly bigint[]): void {
  for (const [kind, count] of counts.entries()) sums[kind]! += count;
}

function byKind(counts: readonly bigint[]): TokensByKind {
  return Object.fromEntries(
    TOKEN_KINDS.flatMap((kind, i) => (counts[i] === 0n ? [] : [[kind, counts[i]!.toString()]])),
  );
}
