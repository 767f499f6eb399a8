import type { Queryable } from '../../ground/db/queryable.ts';

/** Since when (ms) single events are kept, and so answers as of a moment, and digests; -Infinity: all are. */
export async function eventsKeptFrom(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ kept: string | null }>({
    name: 'events kept from',
    text: `select extract(epoch from nullif(kept_from, '-infinity')) * 1000 as kept from tenant_data.retention
           where relation = 'event'`,
  });
  return Number(rows[0]!.kept ?? '-Infinity');
}
