import { TOKEN_KINDS, type TokenKind } from '../../meters/definition/usageSeries.ts';
import type { PriceTerms } from '../catalog/price.ts';
import { type Priced, priceUnits } from './unitPrices.ts';

/** What a price says of each token and of a call, in units of its last digit. */
export interface Rates {
  /** In the order of `TOKEN_KINDS`; null: it says nothing of them. */
  tokens: readonly (bigint | null)[];
  call: bigint;
  /** Whether a call without counts has no cost that is known. */
  needsCounts: boolean;
}

/** What a kind costs that has no price of its own. */
const STANDS_FOR: Partial<Record<TokenKind, Priced>> = {
  cachedInput: 'input',
  cacheWrite: 'input',
  audioInput: 'input',
  reasoning: 'output',
  audioOutput: 'output',
};

/** A price of the call alone is that of all its tokens as well. */
export function ratesOf(unitPrices: PriceTerms['unitPrices']): Rates {
  const { call, ...ofTokens } = unitPrices;
  const onlyCalls = Object.values(ofTokens).every((price) => price === undefined);
  const tokens = TOKEN_KINDS.map((kind) => {
    if (onlyCalls) return 0n;
    const own = unitPrices[kind as Priced] ?? unitPrices[STANDS_FOR[kind] ?? (kind as Priced)];
    return own === undefined ? null : priceUnits(own);
  });
  const needsCounts = Object.values(ofTokens).some(
    (price) => price !== undefined && priceUnits(price) !== 0n,
  );
  return { tokens, call: call === undefined ? 0n : priceUnits(call), needsCounts };
}

/** What usage costs by the rates, in units of a price's last digit: tokens that they say nothing of are left out. */
export function costOf({ tokens, call }: Rates, calls: bigint, counts: readonly bigint[]): bigint {
  let units = call * calls;
  for (const [kind, count] of counts.entries()) {
    const rate = tokens[kind];
    if (rate != null && count !== 0n) units += rate * count;
  }
  return units;
}
