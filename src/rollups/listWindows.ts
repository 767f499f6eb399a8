import type { Queryable } from '../db/connections.ts';
import { numberOf } from '../db/numbers.ts';
import { decodeCursor, type List, type Page, pageOf } from '../db/paging.ts';
import type { TenantContext } from '../tenancy/tenantContext.ts';
import { WINDOW_MS } from '../windows/window.ts';
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

export interface WindowQuery {
  /** [from, to) in ms since the epoch; windows that start in it. */
  from: number;
  to: number;
  customerId?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

const WINDOWS: List = { name: 'windows', key: ['ms', 'text'] };
/** First stretch of time read when a page may hold many customers, in ms; it grows until the page is full. */
const FIRST_SLICE_MS = 20 * WINDOW_MS;

/**
 * Windows with events, by start and customer. A page reads no more time than it takes to fill it, so what it costs
 * follows what it returns and not what is stored.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function listWindows(
  db: Queryable,
  context: TenantContext,
  query: WindowQuery,
): Promise<Page<WindowSummary>> {
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, WINDOWS);
  const start = Math.ceil(query.from / WINDOW_MS) * WINDOW_MS;
  let at = after ? Math.max(start, after[0] as number) : start;
  let slice = query.customerId === undefined ? FIRST_SLICE_MS : (query.limit + 1) * WINDOW_MS;
  const found: WindowSummary[] = [];
  while (at < query.to && found.length <= query.limit) {
    const to = Math.min(query.to, at + slice);
    const position = after && at <= (after[0] as number) ? (after[1] as string) : null;
    const missing = query.limit + 1 - found.length;
    found.push(...(await readSlice(db, context, at, to, query.customerId, position, missing)));
    at = to;
    slice *= 4;
  }
  return pageOf(found, query.limit, WINDOWS, (window) => [Date.parse(window.windowStart), window.customerId]);
}

interface Row {
  bucket_ms: string;
  customer_id: string;
  endpoint: string | null;
  model: string | null;
  calls: string;
  tokens: string;
  input_tokens: string;
  output_tokens: string;
  latency_sum: number;
  latency_count: string;
  closed: boolean;
  revision: number;
}

/**
 * One statement, hence one snapshot: the sums, the state and the revision of a window belong together. A window that
 * usage_30s lacks a late event of is read from the events, for just its customer.
 *
 * Prepared, with everything a parameter: planning the continuous aggregate takes ten times as long as running this.
 */
function windowsStatement(oneCustomer: boolean): string {
  const only = (column: string) => (oneCustomer ? `and ${column} = $6` : '');
  return `
    with late as (
      select bucket, customer_id, revision, stale from late_window
      where tenant_id = $1 and bucket >= $2 and bucket < $3 ${only('customer_id')}
    ), usage as (
      select bucket, customer_id, endpoint, model, calls, tokens, input_tokens, output_tokens,
             latency_sum, latency_count
      from usage_30s u
      where tenant_id = $1 and bucket >= $2 and bucket < $3 ${only('customer_id')}
        and not exists (select from late l
                        where l.stale and l.bucket = u.bucket and l.customer_id = u.customer_id)
      union all
      select l.bucket, l.customer_id, e.endpoint, e.model, 1, coalesce(e.tokens, 0), coalesce(e.input_tokens, 0),
             coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0), (e.latency_ms is not null)::int
      from late l
      join event e on e.tenant_id = $1 and e.customer_id = l.customer_id
        and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
        and e.ts >= $2 and e.ts < $3::timestamptz + interval '30 seconds' -- so that other chunks are not looked at
      where l.stale
    ), page as (
      select bucket, customer_id from usage
      where $4::text is null or bucket > $2 or customer_id collate "C" > $4
      group by bucket, customer_id
      order by bucket, customer_id collate "C"
      limit $5
    )
    select extract(epoch from bucket) * 1000 as bucket_ms, customer_id, endpoint, model,
      sum(calls) as calls, sum(tokens) as tokens, sum(input_tokens) as input_tokens,
      sum(output_tokens) as output_tokens, sum(latency_sum) as latency_sum, sum(latency_count) as latency_count,
      bucket < (select closed_until from window_state) as closed,
      coalesce((select revision from late where late.bucket = page.bucket
                and late.customer_id = page.customer_id), 0) as revision
    from page join usage using (bucket, customer_id)
    group by bucket, customer_id, endpoint, model
    order by bucket, customer_id collate "C", endpoint, model`;
}

const ALL_CUSTOMERS = { name: 'windows of all customers', text: windowsStatement(false) };
const ONE_CUSTOMER = { name: 'windows of one customer', text: windowsStatement(true) };

/** @param afterCustomer skips customers up to this one in the first window of the slice. */
async function readSlice(
  db: Queryable,
  context: TenantContext,
  from: number,
  to: number,
  customerId: string | undefined,
  afterCustomer: string | null,
  limit: number,
): Promise<WindowSummary[]> {
  const values = [context.tenantId, new Date(from), new Date(to), afterCustomer, limit];
  const { rows } = await db.query<Row>(
    customerId === undefined
      ? { ...ALL_CUSTOMERS, values }
      : { ...ONE_CUSTOMER, values: [...values, customerId] },
  );
  return assemble(context.tenantId, rows);
}

function assemble(tenantId: string, rows: Row[]): WindowSummary[] {
  const windows: WindowSummary[] = [];
  let latencySum = 0;
  let latencyCount = 0;
  for (const row of rows) {
    const windowStart = new Date(Number(row.bucket_ms)).toISOString();
    let window = windows.at(-1);
    if (!window || window.windowStart !== windowStart || window.customerId !== row.customer_id) {
      window = emptyWindow(tenantId, row, windowStart);
      windows.push(window);
      latencySum = 0;
      latencyCount = 0;
    }
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

function emptyWindow(tenantId: string, row: Row, windowStart: string): WindowSummary {
  return {
    windowStart,
    windowEnd: new Date(Number(row.bucket_ms) + WINDOW_MS).toISOString(),
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
