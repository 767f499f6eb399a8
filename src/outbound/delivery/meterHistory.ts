import { type MeterDefinition, seriesOf } from '../../sums/meters/definition/meterDefinition.ts';
import { literals, sqlOfSeries } from '../../sums/meters/rules/sqlOfSeries.ts';

/**
 * A statement for what single events say of a meter: `customer_id`, `ts` and the value of each that has one. As text for
 * PostgreSQL's `format`: 1 and 2 are the bounds in time, `$1` the customers. `write_messages` begins tallies with it, which
 * cannot ask the rules of a series themselves; what they say of an event never changes.
 */
export function historyOf(tenantId: string, definition: MeterDefinition): string {
  const series = { ...seriesOf(definition), paths: [] };
  const { from, where, value } = sqlOfSeries(series, literals);
  const [tenant, ofSeries, counts] = [literals(tenantId, 'text'), from, where].map((sql) =>
    sql.replaceAll('%', '%%'),
  );
  const measured = series.value === null ? '1::numeric' : value.replaceAll('%', '%%');
  return `select e.customer_id, e.ts, ${measured} from event e ${ofSeries}
    where e.tenant_id = ${tenant} and e.ts >= %1$L and e.ts < %2$L and e.customer_id = any ($1) and ${counts}`;
}
