import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { numberOf } from '../../ground/db/numbers.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { SqlParameters } from '../../ground/db/sqlParameters.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { emptySums, type LiveSums } from '../live/liveCounters.ts';
import { findStale, usageRows } from './usageSource.ts';
import type { SumsRow } from './windowSummary.ts';

/**
 * The exact sums of neighbouring windows, of the whole tenant or of one customer: what the live counters would say,
 * from the database.
 *
 * @param starts window starts in ms, ascending.
 */
export async function windowTotals(
  db: Queryable,
  context: TenantContext,
  customerId: string | undefined,
  starts: number[],
): Promise<LiveSums[]> {
  const range = { from: starts[0]!, to: starts.at(-1)! + WINDOW_MS };
  const stale = await findStale(db, context, range, customerId);
  const parameters = new SqlParameters();
  const sums = ['calls', 'tokens', 'input_tokens', 'output_tokens', 'latency_sum', 'latency_count'];
  const usage = usageRows(
    context,
    range,
    '30s',
    stale,
    ['endpoint', 'model', ...sums],
    { customerId },
    parameters,
  );
  const { rows } = await db.query(
    `select extract(epoch from bucket) * 1000 as bucket_ms, endpoint, model,
       ${sums.map((column) => `sum(${column}) as ${column}`).join(', ')}
     from ${usage}
     group by bucket, endpoint, model`,
    parameters.values,
  );
  const totals = new Map(starts.map((start) => [start, emptySums()]));
  for (const row of rows) addRow(totals.get(Number(row.bucket_ms))!, row);
  return [...totals.values()];
}

function addRow(total: LiveSums, row: SumsRow): void {
  const calls = numberOf(row.calls);
  const tokens = numberOf(row.tokens);
  total.calls += calls;
  total.tokens += tokens;
  total.inputTokens += numberOf(row.input_tokens);
  total.outputTokens += numberOf(row.output_tokens);
  total.latencySumMs += row.latency_sum;
  total.latencyCount += numberOf(row.latency_count);
  for (const [sums, name] of [
    [total.byEndpoint, row.endpoint],
    [total.byModel, row.model],
  ] as const) {
    if (name === null) continue;
    const sum = Object.hasOwn(sums, name) ? sums[name]! : { calls: 0, tokens: 0 };
    sums[name] = { calls: sum.calls + calls, tokens: sum.tokens + tokens };
  }
}
