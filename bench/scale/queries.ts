import { WINDOW_MS } from '../../src/model/window.ts';
import { generate } from '../load/generate.ts';
import { customerIds, seededRandom, tenantIds } from '../load/workload.ts';
import type { Tidemark } from '../services/tidemark.ts';
import type { Percentiles } from '../support/percentiles.ts';
import { Meter } from '../support/processStats.ts';
import type { Options } from './options.ts';

export const KINDS = ['windows', 'hourly', 'usage'] as const;
export type Kind = (typeof KINDS)[number];

/** Of requests one at a time, in ms; nothing was asked before. */
export interface QueryReport {
  kind: Kind;
  requests: number;
  latency: Percentiles;
  problems: string[];
}

const HOUR_MS = 3_600_000;
/** Different requests of each kind. */
const REQUESTS = 2_000;

/** Each kind of query for an hour of a random tenant, anywhere in [from, to), ms since the epoch; from is a whole hour. */
export async function measureQueries(
  { port, pid, adminKey }: Tidemark,
  { tenants, customers, queryMs }: Options,
  from: number,
  to: number,
): Promise<QueryReport[]> {
  const random = seededRandom(from + to);
  const below = (count: number) => Math.floor(random() * count);
  const customer = customerIds(customers);
  const tenant = tenantIds(tenants);
  const anHour = (stepMs: number) => {
    const start = from + below(Math.floor((to - from - HOUR_MS) / stepMs) + 1) * stepMs;
    return `from=${new Date(start).toISOString()}&to=${new Date(start + HOUR_MS).toISOString()}`;
  };
  const paths: Record<Kind, () => string> = {
    windows: () => `/v1/windows?customerId=${customer[below(customers)]}&${anHour(WINDOW_MS)}&limit=120`,
    hourly: () => `/v1/summaries/hourly?${anHour(HOUR_MS)}`,
    usage: () => `/v1/usage?granularity=1h&groupBy=endpoint,model&${anHour(HOUR_MS)}`,
  };
  const reports: QueryReport[] = [];
  for (const kind of KINDS) {
    const report = await generate(
      {
        host: '127.0.0.1',
        port,
        headers: { Authorization: `Bearer ${adminKey}` },
        connections: 1,
        warmupMs: 0,
        durationMs: queryMs,
        get: {
          paths: Array.from({ length: REQUESTS }, paths[kind]),
          headersOf: Array.from({ length: REQUESTS }, () => ({ 'X-Tenant-Id': tenant[below(tenants)]! })),
        },
      },
      new Meter({ service: pid, postmaster: null }),
    );
    const problems =
      report.failures > 0 ? [`${kind}: ${report.failures} failed: ${report.firstFailure}`] : [];
    reports.push({ kind, requests: report.requests, latency: report.latency, problems });
  }
  return reports;
}
