import type { Queryable } from '../../ground/db/queryable.ts';

/** Beyond this the exact number says no more. */
const COUNTED_AT_MOST = 10_000;

/** Closed windows whose late events some rollup still lacks; at most 10,000 are counted. */
export async function countPending(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ pending: number }>(
    `select count(*)::int as pending
     from (select from late_window where stale and bucket < (select closed_until from window_state)
           limit ${COUNTED_AT_MOST}) as pending`,
  );
  return rows[0]!.pending;
}
