import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decimalOf } from '../../ground/db/numbers.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';

/** The total of a named counter. */
export interface Counter {
  key: string;
  /** A decimal, exact. */
  value: string;
  updatedAt: string;
}

interface Row {
  key: string;
  value: string;
  updated_at: Date;
}

const COUNTERS: List = { name: 'counters', key: ['text'] };
/** No key with a prefix comes after the prefix and as many of the last character as a key has room for. */
const AFTER_ALL = '\u{10ffff}'.repeat(128);

/** Counters by key. @throws {TidemarkError} `cursor_invalid`. */
export async function listCounters(
  db: Queryable,
  context: TenantContext,
  query: { prefix?: string | undefined; cursor?: string | undefined; limit: number },
): Promise<Page<Counter>> {
  const [after] = query.cursor === undefined ? [null] : decodeCursor(query.cursor, COUNTERS);
  const prefix = query.prefix ?? null;
  const { rows } = await db.query<Row>(
    `select key, value, updated_at from tenant_data.counter
     where tenant_id = $1 and ($2::text is null or key > $2)
       and ($3::text is null or key >= $3 and key <= $4 and starts_with(key, $3))
     order by key
     limit $5`,
    [context.tenantId, after, prefix, prefix === null ? null : prefix + AFTER_ALL, query.limit + 1],
  );
  return pageOf(rows.map(toCounter), query.limit, COUNTERS, ({ key }) => [key]);
}

/** One counter. @throws {TidemarkError} `not_found`. */
export async function readCounter(db: Queryable, context: TenantContext, key: string): Promise<Counter> {
  const { rows } = await db.query<Row>(
    'select key, value, updated_at from tenant_data.counter where tenant_id = $1 and key = $2',
    [context.tenantId, key],
  );
  if (!rows[0]) throw new TidemarkError('not_found', 'there is no such counter');
  return toCounter(rows[0]);
}

function toCounter(row: Row): Counter {
  return { key: row.key, value: decimalOf(row.value), updatedAt: row.updated_at.toISOString() };
}
