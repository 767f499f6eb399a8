import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { SqlParameters } from '../../ground/db/sqlParameters.ts';
import { UTC } from '../../ground/zones/zoneOffset.ts';
import type { Meter } from '../meters/catalog/meter.ts';
import { CUSTOMER } from '../meters/reading/meterQuery.ts';
import { meterSums } from '../meters/reading/queryMeter.ts';
import { type Ranking, type RankingQuery, rank } from './ranking.ts';

/**
 * Customers by the number of a meter. Those of whom it has counted nothing are left out. `db` must have one snapshot.
 *
 * @throws {TidemarkError} `not_found` where its series is gone.
 * @throws TM005 where what is needed is no longer kept.
 */
export async function rankByMeter(
  db: Queryable,
  context: TenantContext,
  meter: Pick<Meter, 'seriesId' | 'definition'>,
  query: RankingQuery,
): Promise<Ranking> {
  const range = { from: query.from, to: query.to };
  const parameters = new SqlParameters();
  const { found, series } = await meterSums(
    db,
    context,
    meter,
    {
      granularity: null,
      offsets: UTC,
      groupBy: [CUSTOMER],
      customers: query.customers === null ? null : [...query.customers],
      filters: {},
    },
    range,
    parameters,
  );
  return rank(db, { having: found && `with ${found}`, rows: series }, query, parameters);
}
