import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import { numberOf } from '../../../ground/db/numbers.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import type { Meter } from '../catalog/meter.ts';

/** Events that match and have no value to aggregate, by what is there instead, over all that is kept in sums. */
export interface IgnoredEvents {
  missing: number;
  null: number;
  /** Or, where distinct values are counted, no scalar. */
  notANumber: number;
  outOfRange: number;
}

const STATEMENT = {
  name: 'ignored events',
  text: `
    select sum(ignored_missing) as missing, sum(ignored_null) as nulls, sum(ignored_type) as type, sum(ignored_range) as range
    from (
      select ignored_missing, ignored_null, ignored_type, ignored_range from tenant_data.meter_1d
      where tenant_id = $1 and series_id = $2 and customer_id = ''
      union all
      select ignored_missing, ignored_null, ignored_type, ignored_range from tenant_data.meter_part
      where tenant_id = $1 and series_id = $2
        and bucket >= (select filled_from from tenant_data.meter_series where id = $2)
    ) as kept`,
};

/** Events before those that the meter is filled with are not among them. */
export async function ignoredEvents(
  db: Queryable,
  context: TenantContext,
  { seriesId }: Pick<Meter, 'seriesId'>,
): Promise<IgnoredEvents> {
  const { rows } = await db.query<Record<'missing' | 'nulls' | 'type' | 'range', string | null>>({
    ...STATEMENT,
    values: [context.tenantId, seriesId],
  });
  const { missing, nulls, type, range } = rows[0]!;
  return {
    missing: numberOf(missing),
    null: numberOf(nulls),
    notANumber: numberOf(type),
    outOfRange: numberOf(range),
  };
}
