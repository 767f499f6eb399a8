import { USAGE_SERIES } from '../../sums/meters/definition/usageSeries.ts';
import { literals, sqlOfSeries } from '../../sums/meters/rules/sqlOfSeries.ts';

/**
 * A statement for what single events say of AI usage: `customer_id`, `ts`, the values of `USAGE_DIMENSIONS`, and as a row of a level
 * has them, how many there are, how many of them have counts, and their tokens, packed. As text for PostgreSQL's `format`: 1 and 2 are
 * expressions, from when on and up to but not at when; `$1` the customers. `stored_costs` rates what no level has with it, which cannot ask
 * the rules of usage itself; what they say of an event never changes.
 */
export function costHistoryOf(tenantId: string): string {
  const { from, where, dims, value } = sqlOfSeries(USAGE_SERIES, literals);
  const [tenant, ofUsage, counts, dimensions, tokens] = [
    literals(tenantId, 'text'),
    from,
    where,
    dims,
    value,
  ].map((sql) => sql.replaceAll('%', '%%'));
  return `select e.customer_id, e.ts, ${dimensions} collate "C", 1::bigint, num_nonnulls(${tokens})::bigint, ${tokens} from event e ${ofUsage}
    where e.tenant_id = ${tenant} and e.ts >= %1$s and e.ts < %2$s and e.customer_id = any ($1) and ${counts}`;
}
