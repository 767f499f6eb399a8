import { decimalOf } from '../../ground/db/numbers.ts';
import { identify } from '../../model/eventId.ts';
import { parseJson, stringifyJson } from '../../model/json.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import type { EventRow } from '../../sums/listing/listEvents.ts';
import { csvLine } from './csvLine.ts';

/** A row of the export: as it is read for the API. */
export type ExportedEvent = EventRow;

/** The columns of such a row. Metadata as text: what JSON.parse would make a double of stays as it was stored. */
export const EXPORTED_COLUMNS = `(extract(epoch from ts) * 1000000)::bigint as ts_micros,
       (extract(epoch from received_at) * 1000000)::bigint as received_micros,
       event_id, external_id, customer_id, event_type, endpoint, model, source_id, reference, unit, value::text as value,
       tokens, input_tokens, output_tokens, latency_ms, metadata::text as metadata`;

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
    ...documentOf(row),
  ]);
  return `{${event}}\n`;
}

/** What the metadata of a native event are: the columns that they go to, and all else. */
function documentOf(row: ExportedEvent): [name: string, json: string | null][] {
  const columns: [name: string, json: string | null][] = [
    ['tokens', row.tokens],
    ['model', text(row.model)],
    ['latencyMs', text(row.latency_ms)],
    ['inputTokens', row.input_tokens],
    ['outputTokens', row.output_tokens],
  ];
  const { rest, asSent } = withoutNamesTwice(row.metadata, columns);
  const all = [members(columns), rest.slice(1, -1)].filter((part) => part !== '').join(',');
  return [
    ['metadata', all === '' ? null : `{${all}}`],
    ['asSent', asSent],
  ];
}

const NAME_OF_COLUMN = /"(?:tokens|model|latencyMs|inputTokens|outputTokens)":/;

/**
 * An event of another system's client may have, beside a column, a member of the same name that did not fit it
 * (`"tokens":"12"` beside a usage object). No object of JSON that can be relied on has a name twice (RFC 7493, §2.3), so
 * such members stand in an object of their own.
 */
function withoutNamesTwice(
  metadata: string | null,
  columns: [name: string, json: string | null][],
): { rest: string; asSent: string | null } {
  if (metadata === null || !NAME_OF_COLUMN.test(metadata)) return { rest: metadata ?? '{}', asSent: null };
  const rest = parseJson(metadata) as Record<string, unknown>;
  const twice = columns.filter(([name, json]) => json !== null && Object.hasOwn(rest, name));
  if (twice.length === 0) return { rest: metadata, asSent: null };
  const asSent = Object.fromEntries(twice.map(([name]) => [name, rest[name]]));
  for (const [name] of twice) delete rest[name];
  return { rest: stringifyJson(rest), asSent: stringifyJson(asSent) };
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
