import type { Queryable } from '../../../ground/db/queryable.ts';
import type { RelayMetrics } from './relayMetrics.ts';

/** Counting stops here: it must stay cheap when much is waiting. */
const MOST = 10_000;

/** Sets the gauges of what waits. @returns the age of the oldest message that does, in ms. */
export async function surveyDeliveries(db: Queryable, metrics: RelayMetrics): Promise<number> {
  const { rows } = await db.query<{ waiting: number; oldest: number; pending: number; open: number }>(
    `select (select count(*)::int from (select from outbox where fanned_out_at is null limit ${MOST}) as o) as waiting,
            coalesce((select extract(epoch from clock_timestamp() - created_at)::float8 from outbox
                      where fanned_out_at is null order by id limit 1), 0) as oldest,
            (select count(*)::int from (select from delivery where state = 'pending' limit ${MOST}) as d) as pending,
            (select count(*)::int from endpoint_health where opened_at is not null) as open`,
  );
  const { waiting, oldest, pending, open } = rows[0]!;
  metrics.waiting.set(waiting);
  metrics.oldest.set(Math.max(0, oldest));
  metrics.pending.set(pending);
  metrics.open.set(open);
  return oldest * 1_000;
}
