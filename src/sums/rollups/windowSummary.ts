import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { numberOf } from '../../ground/db/numbers.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { averageMs } from './latencyHistogram.ts';

export interface CallsAndTokens {
  calls: number;
  tokens: number;
}

/** One customer's 30-second window, as served. */
export interface WindowSummary {
  windowStart: string;
  windowEnd: string;
  tenantId: string;
  customerId: string;
  state: 'open' | 'closed' | 'revised';
  revision: number;
  aggregations: {
    totalCalls: number;
    totalTokens: number;
    totalInputTokens: number;
    totalOutputTokens: number;
    /** Over the events that carried a latency; null when none did. */
    avgLatencyMs: number | null;
    byEndpoint: Record<string, CallsAndTokens>;
    byModel: Record<string, CallsAndTokens>;
  };
}

/** Sums for one endpoint and model, as the database returns them. */
export interface SumsRow {
  endpoint: string | null;
  model: string | null;
  calls: string;
  tokens: string;
  input_tokens: string;
  output_tokens: string;
  latency_sum: number;
  latency_count: string;
}

/** Those of one window, as the statements of windowStatements.ts return them. */
export interface WindowRow extends SumsRow {
  bucket_ms: string;
  customer_id: string;
  closed: boolean;
  revision: number;
}

/** Puts windows together from their rows, which must be ordered by window and customer. */
export function windowSummaries(context: TenantContext, rows: WindowRow[]): WindowSummary[] {
  const windows: WindowSummary[] = [];
  let window!: WindowSummary;
  let before: WindowRow | undefined;
  let latencySum = 0;
  let latencyCount = 0;
  for (const row of rows) {
    if (row.bucket_ms !== before?.bucket_ms || row.customer_id !== before.customer_id) {
      window = emptyWindow(context.tenantId, row);
      windows.push(window);
      latencySum = 0;
      latencyCount = 0;
    }
    before = row;
    const calls = numberOf(row.calls);
    const tokens = numberOf(row.tokens);
    latencySum += row.latency_sum;
    latencyCount += numberOf(row.latency_count);
    const sums = window.aggregations;
    sums.totalCalls += calls;
    sums.totalTokens += tokens;
    sums.totalInputTokens += numberOf(row.input_tokens);
    sums.totalOutputTokens += numberOf(row.output_tokens);
    sums.avgLatencyMs = averageMs(latencySum, latencyCount);
    if (row.endpoint !== null) addTo(sums.byEndpoint, row.endpoint, calls, tokens);
    if (row.model !== null) addTo(sums.byModel, row.model, calls, tokens);
  }
  return windows;
}

function emptyWindow(tenantId: string, row: WindowRow): WindowSummary {
  const start = Number(row.bucket_ms);
  return {
    windowStart: new Date(start).toISOString(),
    windowEnd: new Date(start + WINDOW_MS).toISOString(),
    tenantId,
    customerId: row.customer_id,
    state: !row.closed ? 'open' : row.revision > 0 ? 'revised' : 'closed',
    revision: row.revision,
    aggregations: {
      totalCalls: 0,
      totalTokens: 0,
      totalInputTokens: 0,
      totalOutputTokens: 0,
      avgLatencyMs: null,
      byEndpoint: Object.create(null),
      byModel: Object.create(null),
    },
  };
}

function addTo(sums: Record<string, CallsAndTokens>, name: string, calls: number, tokens: number): void {
  sums[name] ??= { calls: 0, tokens: 0 };
  const sum = sums[name];
  sum.calls += calls;
  sum.tokens += tokens;
}
