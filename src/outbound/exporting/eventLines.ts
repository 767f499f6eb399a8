import { decimalOf } from '../../ground/db/numbers.ts';
import { identify } from '../../model/eventId.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import type { EventRow } from '../../sums/listing/listEvents.ts';
import { csvLine } from './csvLine.ts';

/** A row of the export: as it is read for the API. */
export type ExportedEvent = EventRow;

export const EVENT_HEADER = csvLine([
  ...['eventId', 'timestamp', 'receivedAt', 'tenantId', 'customerId', 'eventType', 'apiEndpoint', 'model'],
  ...[
    'sourceId',
    'reference',
    'unit',
    'value',
    'tokens',
    'inputTokens',
    'outputTokens',
    'latencyMs',
    'metadata',
  ],
]);

export function eventCsvLine(tenantId: string, row: ExportedEvent): string {
  return csvLine([
    idOf(row),
    formatTimestamp(Number(row.ts_micros)),
    formatTimestamp(Number(row.received_micros)),
    tenantId,
    row.customer_id,
    row.event_type,
    row.endpoint,
    row.model,
    row.source_id,
    row.reference,
    row.unit,
    row.value === null ? null : decimalOf(row.value),
    row.tokens,
    row.input_tokens,
    row.output_tokens,
    row.latency_ms,
    row.metadata,
  ]);
}

/** A native event that `import` takes, and takes for the same one. */
export function eventJsonLine(tenantId: string, row: ExportedEvent): string {
  const event = members([
    ['eventId', JSON.stringify(idOf(row))],
    ['timestamp', JSON.stringify(formatTimestamp(Number(row.ts_micros)))],
    ['tenantId', JSON.stringify(tenantId)],
    ['customerId', JSON.stringify(row.customer_id)],
    ['eventType', JSON.stringify(row.event_type)],
    ['apiEndpoint', text(row.endpoint)],
    ['sourceId', text(row.source_id)],
    ['reference', text(row.reference)],
    ['unit', text(row.unit)],
    ['value', row.value === null ? null : `"${decimalOf(row.value)}"`],
    ['metadata', metadataOf(row)],
  ]);
  return `{${event}}\n`;
}

function metadataOf(row: ExportedEvent): string | null {
  const columns = members([
    ['tokens', row.tokens],
    ['model', text(row.model)],
    ['latencyMs', text(row.latency_ms)],
    ['inputTokens', row.input_tokens],
    ['outputTokens', row.output_tokens],
  ]);
  const rest = row.metadata?.slice(1, -1) ?? '';
  const all = [columns, rest].filter((part) => part !== '').join(',');
  return all === '' ? null : `{${all}}`;
}

/** The id under which the event is counted once: the client's own, unless the UUID was made of more than that. */
function idOf({ event_id: eventId, external_id: externalId }: ExportedEvent): string {
  if (externalId === null) return eventId;
  return identify(externalId).eventId === eventId ? externalId : eventId;
}

function text(value: string | number | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

/** Members of an object; those that are absent are left out. */
function members(pairs: [name: string, json: string | null][]): string {
  return pairs
    .filter(([, json]) => json !== null)
    .map(([name, json]) => `"${name}":${json}`)
    .join(',');
}
