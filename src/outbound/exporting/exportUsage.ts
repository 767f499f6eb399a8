import type pg from 'pg';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import {
  type ExactUsagePoint,
  type SeriesQuery,
  type SeriesRow,
  seriesStatement,
  toExactPoint,
} from '../../sums/rollups/usageSeries.ts';
import type { ExportCounts, ExportFormat } from './exportCounts.ts';
import { readAll } from './snapshot.ts';
import { usageCsvLine, usageHeader } from './usageCsv.ts';

/**
 * The usage of a tenant as lines, one for each bucket and group that has any, in pieces.
 *
 * @param client in a snapshot of the tenant.
 */
export async function* exportUsage(
  client: pg.Client,
  context: TenantContext,
  query: SeriesQuery,
  format: ExportFormat,
  counts: ExportCounts,
): AsyncGenerator<string> {
  const { groupBy } = query;
  const toLine = (point: ExactUsagePoint) =>
    format === 'csv' ? usageCsvLine(point, groupBy) : usageJsonLine(point);
  const statement = () => seriesStatement(client, context, query);
  if (format === 'csv') yield usageHeader(groupBy);
  for await (const rows of readAll<SeriesRow>(client, context, statement)) {
    counts.rows += rows.length;
    counts.reachedMs = Number(rows.at(-1)!.bucket_ms);
    yield rows.map((row) => toLine(toExactPoint(row, groupBy))).join('');
  }
}

/** As GET /v1/usage has it; sums are written as the digits they are. */
export function usageJsonLine(point: ExactUsagePoint): string {
  const { calls, tokens, inputTokens, outputTokens, value, latency, ...key } = point;
  const sums = `"calls":${calls},"tokens":${tokens},"inputTokens":${inputTokens},"outputTokens":${outputTokens}`;
  const rest = `"value":"${value}","latency":${JSON.stringify(latency)}`;
  return `${JSON.stringify(key).slice(0, -1)},${sums},${rest}}\n`;
}
