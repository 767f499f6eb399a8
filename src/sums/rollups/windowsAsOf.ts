import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { WINDOW_MS } from '../../model/window.ts';
import type { AsOf } from '../asof/asOf.ts';
import { laterRevisions } from '../asof/laterRevisions.ts';
import { usageRowsAsOf } from './usageSource.ts';

/** Which windows: all, or those of a state by then. */
export interface WindowsAsked {
  from: number;
  to: number;
  customerId?: string | undefined;
  state?: 'open' | 'closed' | 'revised' | undefined;
}

const SUMS = ['calls', 'tokens', 'input_tokens', 'output_tokens', 'latency_sum', 'latency_count'];

/**
 * The statement for windows that start in a range as they were at a moment, with rows as those of windowStatements.ts. As there, a
 * window all of whose events were void by then has sums of zero.
 *
 * @param query [from, to) in ms; `from` is the start of a window.
 * @param customerAfter after whom the first window goes on.
 */
export async function windowsAsOf(
  db: Queryable,
  context: TenantContext,
  asOf: AsOf,
  { from, to, customerId, state }: WindowsAsked,
  customerAfter: string | null,
  limit: number,
): Promise<{ text: string; values: unknown[] }> {
  const parameters = new SqlParameters();
  const range = { from, to: Math.ceil(to / WINDOW_MS) * WINDOW_MS };
  const columns = ['customer_id', 'endpoint', 'model', ...SUMS];
  const usage = await usageRowsAsOf(db, asOf, context, range, '30s', columns, { customerId }, parameters);
  const tenant = parameters.add(context.tenantId);
  const after = parameters.add(customerAfter);
  const within = `bucket >= ${instant(range.from)} and bucket < ${instant(range.to)}${
    customerId === undefined ? '' : ` and customer_id = ${parameters.add(customerId)}`
  }`;
  const closed = `bucket < ${instant(asOf.closedUntil)}`;
  const asked = {
    any: 'true',
    open: `not ${closed}`,
    closed,
    revised: `${closed} and max(revision) > 0`,
  }[state ?? 'any'];
  const text = `
    with usage as materialized (
      select bucket, customer_id, endpoint, model, ${SUMS.map((sum) => `sum(${sum}) as ${sum}`).join(', ')}
      from ${usage}
      group by 1, 2, 3, 4
    ), revised as materialized (
      select bucket, customer_id, sum(revision)::integer as revision
      from (
        select bucket, customer_id, revision from tenant_data.late_window where tenant_id = ${tenant} and ${within}
        union all
        select bucket, customer_id, -1 from ${laterRevisions(asOf, tenant, within)} as later
      ) as revisions
      group by 1, 2
      having sum(revision) > 0
    ), page as (
      select bucket, customer_id, max(revision) as revision
      from (
        select bucket, customer_id, 0 as revision from usage
        union all
        select bucket, customer_id, revision from revised -- of some of them all events were void
      ) as windows
      where ${after}::text is null or bucket > ${instant(from)} or customer_id collate "C" > ${after}
      group by bucket, customer_id
      having ${asked}
      order by bucket, customer_id collate "C"
      limit ${limit}
    )
    select extract(epoch from bucket) * 1000 as bucket_ms, customer_id, endpoint, model,
      ${SUMS.map((sum) => `coalesce(${sum}, 0) as ${sum}`).join(', ')}, ${closed} as closed, revision
    from page left join usage using (bucket, customer_id)
    order by bucket, customer_id collate "C", endpoint, model`;
  return { text, values: parameters.values };
}
