import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { UTC } from '../../ground/zones/zoneOffset.ts';
import { amountOf, priceUnits } from '../costs/rating/unitPrices.ts';
import { costRows } from '../costs/reading/costRows.ts';
import { CostSums } from '../costs/reading/costSums.ts';
import type { PriceBooks } from '../costs/reading/priceBooks.ts';
import type { Ranking, RankingQuery } from './ranking.ts';

/**
 * Customers by what their AI usage costs in a currency, by the prices of now. Those of whom nothing has a price in it are
 * left out. `db` must have one snapshot.
 *
 * @throws {TidemarkError} `range_too_large`.
 * @throws TM005 where what is needed is no longer kept.
 */
export async function rankByCost(
  db: Queryable,
  context: TenantContext,
  { currency, eventType }: { currency: string; eventType?: string | undefined },
  { from, to, customers, threshold, limit }: RankingQuery,
  books: PriceBooks,
): Promise<Ranking> {
  const { book } = await books.read(db, context);
  const rows = await costRows(
    db,
    context,
    {
      fromMicros: from * 1_000,
      toMicros: to * 1_000,
      granularity: '1mo',
      offsets: UTC,
      groupBy: ['customer'],
      eventType,
      customerId: customers?.length === 1 ? customers[0] : undefined,
    },
    book.changes,
    { after: null, groups: Number.MAX_SAFE_INTEGER },
  );
  const wanted = customers && new Set(customers);
  const sums = new Map<string, CostSums>();
  for (const row of rows) {
    const [customerId = ''] = row.groups;
    if (wanted?.has(customerId) === false) continue;
    const sum = sums.get(customerId) ?? new CostSums(book);
    sums.set(customerId, sum);
    sum.add(row);
  }
  const spent = [...sums].flatMap(([customerId, sum]) => {
    const cost = sum.end().costs.find((one) => one.currency === currency);
    return cost ? [{ customerId, units: priceUnits(cost.amount) }] : [];
  });
  spent.sort((a, b) =>
    a.units === b.units ? (a.customerId < b.customerId ? -1 : 1) : a.units > b.units ? -1 : 1,
  );
  return {
    customers: spent.length,
    above: threshold === undefined ? 0 : spent.filter(({ units }) => units > priceUnits(threshold)).length,
    total: amountOf(spent.reduce((sum, { units }) => sum + units, 0n)),
    data: spent.slice(0, limit).map(({ customerId, units }) => ({ customerId, value: amountOf(units) })),
  };
}
