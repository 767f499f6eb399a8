import type { Queryable } from '../../ground/db/queryable.ts';

/** The moment (ms since the epoch) before which an event is not to be stored any more, as it is kept now. */
export async function oldestKept(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ ms: string }>(
    `select coalesce(extract(epoch from nullif(greatest(kept_from, date_bin('1 day', now() - keep, 'epoch'::timestamptz)),
                                             '-infinity')) * 1000, 0) as ms
     from retention where relation = 'event'`,
  );
  return Number(rows[0]!.ms);
}
