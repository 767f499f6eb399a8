import type pg from 'pg';

export type Rollup = 'usage_30s' | 'usage_1h' | 'usage_1d' | 'reference_1d';

/** Refreshes one rollup over [from, to); what the steps of the closer are handed. */
export type Refresh = (rollup: Rollup, from: string, to: string) => Promise<void>;

/**
 * Refreshes one continuous aggregate over [from, to). Idempotent: what is not invalid is left alone. A top-level
 * CALL, since it works neither in a transaction nor in a function.
 *
 * buckets_per_batch 0, because the default cuts the range into batches of ten buckets and pays about 50 ms for each,
 * whether anything in it is invalid or not.
 *
 * @param from start of a bucket, as PostgreSQL prints a timestamptz.
 */
export async function refreshRollup(
  client: pg.Client,
  rollup: Rollup,
  from: string,
  to: string,
): Promise<void> {
  await client.query(
    `call refresh_continuous_aggregate('${rollup}', ${literal(from)}, ${literal(to)}, options => '{"buckets_per_batch": 0}')`,
  );
}

function literal(timestamp: string): string {
  return `'${timestamp.replaceAll("'", '')}'::timestamptz`;
}
