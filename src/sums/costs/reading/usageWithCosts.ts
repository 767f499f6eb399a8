import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { decodeCursor, type Page } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import {
  GROUP_FIELD,
  type UsagePoint,
  type UsageQuery,
  usageList,
  usageSeries,
} from '../../rollups/usageSeries.ts';
import type { Costs, PriceVersion } from './costQuery.ts';
import { costRows } from './costRows.ts';
import { groupKey, ratedGroups } from './costSeries.ts';
import { CostSums } from './costSums.ts';
import type { PriceBooks } from './priceBooks.ts';

/** Usage, and what the AI usage in it costs. */
export interface UsageWithCosts extends UsagePoint {
  cost: Costs;
}

/**
 * Usage over time with its costs, all of one moment. What costs is part of all usage, so the first rows of the one have
 * nothing that is not among as many of the other.
 *
 * @throws as `usageSeries` and `costSeries`.
 */
export async function usageWithCosts(
  db: Queryable,
  context: TenantContext,
  query: UsageQuery,
  books: PriceBooks,
): Promise<Page<UsageWithCosts> & PriceVersion> {
  const { from, to, groupBy, limit, cursor, ...filters } = query;
  const after = cursor === undefined ? null : decodeCursor(cursor, usageList(query));
  const { book, ...version } = await books.read(db, context);
  const range = { fromMicros: from * 1_000, toMicros: to * 1_000 };
  const rows = await costRows(db, context, { ...filters, ...range, groupBy }, book.changes, {
    after,
    groups: limit,
  });
  const groups = ratedGroups(rows, book);
  const page = await usageSeries(db, context, query);
  const data = page.data.map((point): UsageWithCosts => {
    const key = groupKey(
      Date.parse(point.bucket),
      groupBy.map((group) => point[GROUP_FIELD[group]] ?? ''),
    );
    return { ...point, cost: (groups.get(key)?.sums ?? new CostSums(book)).end() };
  });
  return { data, nextCursor: page.nextCursor, ...version };
}
