import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Page } from '../../../ground/db/paging.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import type { Meter } from '../catalog/meter.ts';
import { CUSTOMER, type MeterQuery } from './meterQuery.ts';
import { queryMeter } from './queryMeter.ts';

/** A value of a dimension, and how many events have it. */
export interface DimensionValue {
  /** Null: there is none. */
  value: string | null;
  events: string;
}

export type DimensionQuery = Pick<MeterQuery, 'fromMicros' | 'toMicros' | 'customers' | 'cursor' | 'limit'>;

/**
 * The values that a dimension, or `customer`, has over a range, in order; none comes first. Costs as much as the
 * query that is grouped by it.
 *
 * @throws as `queryMeter`.
 */
export async function dimensionValues(
  db: Queryable,
  context: TenantContext,
  { seriesId, definition }: Pick<Meter, 'seriesId' | 'definition'>,
  name: string,
  query: DimensionQuery,
): Promise<Page<DimensionValue>> {
  const counting = { seriesId, definition: { ...definition, aggregation: 'count' as const } };
  const page = await queryMeter(db, context, counting, {
    ...query,
    granularity: null,
    offsets: [],
    groupBy: [name],
    filters: {},
  });
  return {
    data: page.data.map(({ customerId, dimensions, events }) => ({
      value: name === CUSTOMER ? customerId! : dimensions![name]!,
      events,
    })),
    nextCursor: page.nextCursor,
  };
}
