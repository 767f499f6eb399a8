import type pg from 'pg';

export type Rollup = 'usage_30s' | 'usage_1h' | 'usage_1d' | 'reference_1d';

/**
 * What a refresh does with buckets that TimescaleDB takes for valid: leave them alone, or make them anew.
 *
 * Its word is not enough for late events. An insert looks at commit whether its time lies below the invalidation
 * threshold, and a refresh that moves the threshold at that moment does not wait for it (since 2.12): the event is in
 * neither the aggregate nor the log of invalid ranges.
 */
export type Validity = 'trusted' | 'distrusted';

/** Refreshes one rollup over [from, to); what the steps of the refresher are handed. */
export type Refresh = (rollup: Rollup, from: string, to: string, validity: Validity) => Promise<void>;

/**
 * Refreshes one continuous aggregate over [from, to). Idempotent. A top-level CALL, since it works neither in a
 * transaction nor in a function.
 *
 * buckets_per_batch 0, because the default cuts the range into batches of ten buckets and pays about 50 ms for each,
 * whether anything in it is invalid or not.
 *
 * What is no longer kept is refused by the database: such a refresh would erase it from the aggregate.
 *
 * @param from start of a bucket, as PostgreSQL prints a timestamptz.
 */
export async function refreshRollup(
  client: pg.Client,
  rollup: Rollup,
  from: string,
  to: string,
  validity: Validity,
): Promise<void> {
  await client.query(
    `call refresh_continuous_aggregate('${rollup}', refreshed_from(${literal(from)}), ${literal(to)},
       force => ${validity === 'distrusted'}, options => '{"buckets_per_batch": 0}')`,
  );
}

function literal(timestamp: string): string {
  return `'${timestamp.replaceAll("'", '')}'::timestamptz`;
}
