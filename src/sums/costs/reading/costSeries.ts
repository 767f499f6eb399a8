import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import type { PriceBook } from '../rating/priceBook.ts';
import { COST_FIELD, type CostPoint, type CostQuery, type PriceVersion } from './costQuery.ts';
import { type CostRow, costRows } from './costRows.ts';
import { CostSums } from './costSums.ts';
import type { PriceBooks } from './priceBooks.ts';

/** A page of costs, and by which prices they were made. */
export type CostPage = Page<CostPoint> & PriceVersion;

/**
 * What AI usage costs over time, ordered by bucket and group: each event by the price in force at its own time. Buckets without
 * such usage are left out. `db` must have one snapshot.
 *
 * @throws {TidemarkError} `cursor_invalid`, `range_too_large`, `invalid_request` where the list has no such version yet.
 * @throws TM005 where what is needed is no longer kept.
 */
export async function costSeries(
  db: Queryable,
  context: TenantContext,
  query: CostQuery,
  books: PriceBooks,
): Promise<CostPage> {
  const { granularity, groupBy } = query;
  const list: List = {
    name: ['costs', granularity, ...groupBy].join(' '),
    key: ['ms', ...groupBy.map(() => 'text' as const)],
  };
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, list);
  const { book, ...version } = await books.read(db, context, query.priceVersion);
  const rows = await costRows(db, context, query, book.changes, { after, groups: query.limit + 1 });
  const points = [...ratedGroups(rows, book).values()].map(
    ({ row, sums }): CostPoint => ({
      bucket: new Date(row.bucketMs).toISOString(),
      bucketEnd: new Date(row.bucketEndMs).toISOString(),
      ...Object.fromEntries(groupBy.map((group, i) => [COST_FIELD[group], row.groups[i] || null])),
      ...sums.end(),
    }),
  );
  const page = pageOf(points, query.limit, list, (point) => [
    Date.parse(point.bucket),
    ...groupBy.map((group) => point[COST_FIELD[group]] ?? ''),
  ]);
  return { ...page, ...version };
}

/** The sums of each bucket and group, by its key, in the order of the rows. */
export function ratedGroups(
  rows: readonly CostRow[],
  book: PriceBook,
): Map<string, { row: CostRow; sums: CostSums }> {
  const groups = new Map<string, { row: CostRow; sums: CostSums }>();
  for (const row of rows) {
    const key = groupKey(row.bucketMs, row.groups);
    let group = groups.get(key);
    if (!group) {
      group = { row, sums: new CostSums(book) };
      groups.set(key, group);
    }
    group.sums.add(row);
  }
  return groups;
}

/** No text holds a NUL. @param groups '' where there is none. */
export function groupKey(bucketMs: number, groups: readonly string[]): string {
  return [bucketMs, ...groups].join('\0');
}
