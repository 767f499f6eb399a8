import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { PriceBooks } from '../costs/reading/priceBooks.ts';
import type { Meter } from '../meters/catalog/meter.ts';
import { rankByCost } from './rankByCost.ts';
import { rankByMeter } from './rankByMeter.ts';
import { rankByUsage, type UsageSum } from './rankByUsage.ts';
import type { Ranking, RankingQuery } from './ranking.ts';

/** What customers are ranked by: a sum of usage, a cost in a currency (ISO 4217), or the number of a meter. */
export type RankedBy =
  | { measure: UsageSum; eventType?: string | undefined }
  | { measure: 'cost'; currency: string; eventType?: string | undefined }
  | { meter: Pick<Meter, 'seriesId' | 'definition'> };

/**
 * Customers by what they have in a range, the greatest first. `db` must have one snapshot.
 *
 * @throws {TidemarkError} `not_found`, `range_too_large`.
 * @throws TM005 where what is needed is no longer kept.
 */
export function rankCustomers(
  db: Queryable,
  context: TenantContext,
  by: RankedBy,
  query: RankingQuery,
  books: PriceBooks,
): Promise<Ranking> {
  if ('meter' in by) return rankByMeter(db, context, by.meter, query);
  if (by.measure === 'cost') return rankByCost(db, context, by, query, books);
  return rankByUsage(db, context, by, query);
}
