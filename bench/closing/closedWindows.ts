import type pg from 'pg';
import type { Close } from './record.ts';

/** What is wrong with closed windows (a window being one bucket of one customer). */
export interface Faults {
  /** Changed after they had closed, by a batch that did not call them late. */
  silent: number;
  /** The rollup is not what the events add up to, and nothing says so: events that no reader sees. */
  wrong: number;
}

/** @param closedBefore up to where windows were closed before the first of these closes, ms since the epoch. */
export async function findFaults(client: pg.Client, closes: Close[], closedBefore: number): Promise<Faults> {
  return { silent: await countSilent(client, closes, closedBefore), wrong: await countWrong(client) };
}

/**
 * A batch whose rows were not visible when their window had closed must have raised its revision, each batch once.
 * The snapshot was taken a moment after the close, so that a batch that ended in between passes for in time.
 */
async function countSilent(client: pg.Client, closes: Close[], closedBefore: number): Promise<number> {
  const steps = closes.map(({ until, snapshot }, i) => ({
    since: new Date(closes[i - 1]?.until ?? closedBefore).toISOString(),
    until: new Date(until).toISOString(),
    snapshot,
  }));
  const { rows } = await client.query<{ silent: number }>(
    `with written as (
       select date_bin('30 seconds', ts, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, xmin::text as xid
       from event
       group by 1, 2, 3, 4
     ), epoch as (
       select pg_current_xact_id()::text::numeric - pg_current_xact_id()::xid::text::numeric as xids
     ), changed as (
       select bucket, tenant_id, customer_id, count(*) as batches
       from written, epoch, jsonb_to_recordset($1) as step (since timestamptz, until timestamptz, snapshot text)
       where bucket >= since and bucket < until
         and not pg_visible_in_snapshot((xid::numeric + xids)::text::xid8, snapshot::pg_snapshot)
       group by 1, 2, 3
     )
     select count(*)::int as silent
     from changed left join late_window using (bucket, tenant_id, customer_id)
     where batches > coalesce(revision, 0)`,
    [JSON.stringify(steps)],
  );
  return rows[0]!.silent;
}

async function countWrong(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ wrong: number }>(
    `with raw as (
       select date_bin('30 seconds', ts, 'epoch'::timestamptz) as bucket, tenant_id, customer_id,
              count(*) as calls, sum(tokens) as tokens
       from event
       group by 1, 2, 3
     ), rolled_up as (
       select bucket, tenant_id, customer_id, sum(calls) as calls, sum(tokens) as tokens
       from usage_30s
       group by 1, 2, 3
     )
     select count(*)::int as wrong
     from raw full join rolled_up using (bucket, tenant_id, customer_id)
          left join late_window using (bucket, tenant_id, customer_id)
     where (raw.calls, raw.tokens) is distinct from (rolled_up.calls, rolled_up.tokens)
       and bucket < (select closed_until from window_state) and stale is not true`,
  );
  return rows[0]!.wrong;
}
