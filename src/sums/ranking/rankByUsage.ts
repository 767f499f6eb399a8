import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { SqlParameters } from '../../ground/db/sqlParameters.ts';
import { UTC } from '../../ground/zones/zoneOffset.ts';
import { seriesStatement } from '../rollups/usageSeries.ts';
import { type Ranking, type RankingQuery, rank } from './ranking.ts';

const COLUMN = { calls: 'calls', tokens: 'tokens', value: 'signed_value' } as const;
/** What usage adds up to, as `UsagePoint` has it. */
export type UsageSum = keyof typeof COLUMN;

/** Customers by their usage. `db` must have one snapshot. @throws TM005 where what is needed is no longer kept. */
export async function rankByUsage(
  db: Queryable,
  context: TenantContext,
  { measure, eventType }: { measure: UsageSum; eventType?: string | undefined },
  query: RankingQuery,
): Promise<Ranking> {
  const { from, to, customers } = query;
  const customerId = customers?.length === 1 ? customers[0] : undefined;
  // Months, since nothing coarser is kept apart; what they are of falls away.
  const { text, values } = await seriesStatement(db, context, {
    ...{ from, to, customerId, eventType },
    granularity: '1mo',
    offsets: UTC,
    groupBy: ['customer'],
  });
  const parameters = new SqlParameters();
  for (const value of values) parameters.add(value);
  const among = customers === null ? '' : `where customer_id = any(${parameters.add(customers)}::text[])`;
  const rows = `select customer_id, sum(${COLUMN[measure]}) as value from (${text}) as series ${among} group by customer_id`;
  return rank(db, { rows }, query, parameters);
}
