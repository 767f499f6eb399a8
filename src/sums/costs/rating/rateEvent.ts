import type { UsageEvent } from '../../../model/usageEvent.ts';
import { providerOf, usageOf } from '../../meters/rules/usageRule.ts';
import type { PriceBook } from './priceBook.ts';
import { costOf } from './rates.ts';
import { amountOf } from './unitPrices.ts';

/** What something costs: an exact plain decimal, in a currency by its code of ISO 4217. */
export interface Cost {
  currency: string;
  amount: string;
}

/**
 * What one event costs by the price that is in force at its time, in one currency: the same that `/v1/costs` adds up.
 *
 * @param event as it is stored.
 * @param prices of its tenant.
 * @returns null where it has no price, is no AI usage, or its tokens are unknown and the price is of tokens. Tokens of a kind that
 * the price says nothing of cost nothing here; `/v1/costs` tells them apart.
 */
export function rateEvent(event: UsageEvent, prices: PriceBook, currency: string): Cost | null {
  const counts = usageOf(event);
  if (counts === undefined) return null;
  const rates = prices.find(event.model, providerOf(event), currency, event.tsMicros);
  if (rates === undefined || (counts === null && rates.needsCounts)) return null;
  return { currency, amount: amountOf(costOf(rates, 1n, (counts ?? []).map(BigInt))) };
}
