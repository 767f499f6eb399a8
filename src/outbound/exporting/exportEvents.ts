import type pg from 'pg';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import {
  EVENT_HEADER,
  EXPORTED_COLUMNS,
  type ExportedEvent,
  eventCsvLine,
  eventJsonLine,
} from './eventLines.ts';
import type { ExportCounts, ExportFormat } from './exportCounts.ts';
import { readAll } from './snapshot.ts';

export interface EventsQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  customerId?: string | undefined;
  eventType?: string | undefined;
  reference?: string | undefined;
}

/**
 * The events of a tenant as lines, oldest first, in pieces.
 *
 * @param client in a snapshot of the tenant.
 */
export async function* exportEvents(
  client: pg.Client,
  context: TenantContext,
  query: EventsQuery,
  format: ExportFormat,
  counts: ExportCounts,
): AsyncGenerator<string> {
  const toLine = format === 'csv' ? eventCsvLine : eventJsonLine;
  if (format === 'csv') yield EVENT_HEADER;
  const statement = async () => eventsStatement(context, query);
  for await (const rows of readAll<ExportedEvent>(client, context, statement)) {
    counts.rows += rows.length;
    counts.reachedMs = Number(rows.at(-1)!.ts_micros) / 1_000;
    yield rows.map((row) => toLine(context.tenantId, row)).join('');
  }
}

function eventsStatement(context: TenantContext, query: EventsQuery): { text: string; values: unknown[] } {
  const parameters = new SqlParameters();
  const conditions = [`tenant_id = ${parameters.add(context.tenantId)}`];
  conditions.push(`ts >= ${instant(query.from)}`, `ts < ${instant(query.to)}`);
  if (query.customerId !== undefined) conditions.push(`customer_id = ${parameters.add(query.customerId)}`);
  if (query.eventType !== undefined) conditions.push(`event_type = ${parameters.add(query.eventType)}`);
  if (query.reference !== undefined) conditions.push(`reference = ${parameters.add(query.reference)}`);
  return {
    text: `select ${EXPORTED_COLUMNS}
     from tenant_data.event
     where ${conditions.join(' and ')}
     order by ts, event_id`,
    values: parameters.values,
  };
}
