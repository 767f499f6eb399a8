import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { findMeter, type Meter } from './meter.ts';

/**
 * @param slugOrId an id may be that of an archived meter.
 * @returns the meter. While it is being filled its goal is known: where all events are kept, the day of the
 * tenant's oldest.
 * @throws {TidemarkError} `not_found`.
 */
export async function getMeter(db: Queryable, context: TenantContext, slugOrId: string): Promise<Meter> {
  const meter = await findMeter(db, context.tenantId, slugOrId);
  if (meter.fill.state === 'complete' || meter.fill.goal !== null) return meter;
  const goal =
    (await oldestDay(db, context.tenantId, OLDEST_COVERED)) ??
    (await oldestDay(db, context.tenantId, OLDEST));
  return { ...meter, fill: { ...meter.fill, goal: goal === null ? null : formatTimestamp(goal) } };
}

/** The day of a tenant's oldest event in a few lookups; null where the activity tables do not have all of it, or nothing yet. */
const OLDEST_COVERED = `
  select (extract(epoch from oldest) * 1000000)::bigint as micros from window_coverage,
    lateral (select least(
      (select min(bucket) from activity_calls where tenant_id = $1 and level = '1d'),
      (select date_bin('1 day', min(bucket), 'epoch'::timestamptz) from late_window
       where tenant_id = $1 and activity_revision < revision)) as oldest) as o
  where covered_from = '-infinity'`;

/** The same from every day that the tenant has. */
const OLDEST = `
  select (extract(epoch from min(bucket)) * 1000000)::bigint as micros from usage_1d where tenant_id = $1`;

/** @returns in µs since the epoch. */
async function oldestDay(db: Queryable, tenantId: string, text: string): Promise<number | null> {
  const { rows } = await db.query<{ micros: string | null }>(text, [tenantId]);
  const micros = rows[0]?.micros ?? null;
  return micros === null ? null : Number(micros);
}
