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
  const { rows } = await db.query<{ micros: string | null }>(
    'select (extract(epoch from min(bucket)) * 1000000)::bigint as micros from usage_1d where tenant_id = $1',
    [context.tenantId],
  );
  const { micros } = rows[0]!;
  return {
    ...meter,
    fill: { ...meter.fill, goal: micros === null ? null : formatTimestamp(Number(micros)) },
  };
}
