import type pg from 'pg';
import type { WindowSummary } from '../../src/sums/rollups/windowSummary.ts';
import { TENANT } from '../load/workload.ts';

type Sums = Pick<
  WindowSummary['aggregations'],
  | 'totalCalls'
  | 'totalTokens'
  | 'totalInputTokens'
  | 'totalOutputTokens'
  | 'avgLatencyMs'
  | 'byEndpoint'
  | 'byModel'
>;

interface Row {
  start: string;
  endpoint: string;
  model: string;
  calls: string;
  tokens: string;
  input: string;
  output: string;
  latency: number;
}

/**
 * The answer of GET /v1/windows for one customer by a GROUP BY over the events, with nothing of the service's own
 * but its word for it.
 *
 * @param from,to ms since the epoch, on window boundaries.
 * @returns sums by window start, ISO 8601.
 */
export async function rawWindows(
  client: pg.Client,
  customerId: string,
  from: number,
  to: number,
): Promise<Map<string, Sums>> {
  const literal = (ms: number) => `'${new Date(ms).toISOString()}'`;
  const { rows } = await client.query<Row>(
    `select extract(epoch from date_bin('30 seconds', ts, 'epoch'::timestamptz)) * 1000 as start, endpoint, model,
            count(*) as calls, sum(tokens) as tokens, sum(input_tokens) as input, sum(output_tokens) as output,
            sum(latency_ms) as latency
     from event
     where tenant_id = '${TENANT}' and customer_id = '${customerId}' and ts >= ${literal(from)} and ts < ${literal(to)}
     group by 1, endpoint, model
     order by 1`,
  );
  const windows = new Map<string, Sums & { latency: number }>();
  for (const row of rows) {
    const start = new Date(Number(row.start)).toISOString();
    const sums = windows.get(start) ?? {
      totalCalls: 0,
      totalTokens: 0,
      totalInputTokens: 0,
      totalOutputTokens: 0,
      avgLatencyMs: null,
      byEndpoint: {},
      byModel: {},
      latency: 0,
    };
    windows.set(start, sums);
    sums.totalCalls += Number(row.calls);
    sums.totalTokens += Number(row.tokens);
    sums.totalInputTokens += Number(row.input);
    sums.totalOutputTokens += Number(row.output);
    sums.latency += row.latency;
    sums.avgLatencyMs = Math.round((sums.latency / sums.totalCalls) * 1_000) / 1_000;
    add(sums.byEndpoint, row.endpoint, row);
    add(sums.byModel, row.model, row);
  }
  return new Map([...windows].map(([start, { latency: _, ...sums }]) => [start, sums]));
}

function add(sums: Sums['byModel'], name: string, row: Row): void {
  const before = sums[name] ?? { calls: 0, tokens: 0 };
  sums[name] = { calls: before.calls + Number(row.calls), tokens: before.tokens + Number(row.tokens) };
}
