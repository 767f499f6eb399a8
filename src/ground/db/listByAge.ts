import { decodeCursor, type List, type Page, pageOf } from './paging.ts';
import type { Queryable } from './queryable.ts';

/** Which rows of which table, as SQL; `$4` and on are what `values` has. */
export interface AgedRows {
  columns: string;
  table: string;
  condition: string;
  values: unknown[];
}

/** A list by age: a moment, then an id for those of the same one. */
export const byAge = (name: string): List => ({ name, key: ['micros', 'uuid'] });

/**
 * A page of rows by `created_at`, oldest first, and `id`. To the microsecond, as cursors carry it.
 *
 * @param list made by `byAge`.
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function listByAge<Row extends { id: string }>(
  db: Queryable,
  list: List,
  { columns, table, condition, values }: AgedRows,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<Row>> {
  const after = query.cursor === undefined ? [null, null] : decodeCursor(query.cursor, list);
  const { rows } = await db.query<Row & { created_micros: string }>(
    `select ${columns}, (extract(epoch from created_at) * 1000000)::bigint as created_micros
     from ${table}
     where ${condition}
       and ($1::bigint is null
            or ((extract(epoch from created_at) * 1000000)::bigint, id::text) > ($1::bigint, $2::text))
     order by (extract(epoch from created_at) * 1000000)::bigint, id::text
     limit $3`,
    [after[0], after[1], query.limit + 1, ...values],
  );
  return pageOf(rows, query.limit, list, (row) => [Number(row.created_micros), row.id]);
}
