import { parseJson } from '../../../model/json.ts';
import type { UsageEvent } from '../../../model/usageEvent.ts';
import type { EventRow } from '../../listing/listEvents.ts';

/** An event as it is stored, as the rules of meters look at one that is being written. */
export function storedEvent(tenantId: string, row: EventRow): UsageEvent {
  return {
    tenantId,
    customerId: row.customer_id,
    eventId: row.event_id,
    externalId: row.external_id,
    tsMicros: Number(row.ts_micros),
    eventType: row.event_type,
    sourceId: row.source_id,
    endpoint: row.endpoint,
    model: row.model,
    reference: row.reference,
    unit: row.unit,
    value: row.value,
    tokens: numberOrNull(row.tokens),
    inputTokens: numberOrNull(row.input_tokens),
    outputTokens: numberOrNull(row.output_tokens),
    latencyMs: row.latency_ms,
    metadata: row.metadata,
    document: row.metadata === null ? null : (parseJson(row.metadata) as Record<string, unknown>),
  };
}

function numberOrNull(text: string | null): number | null {
  return text === null ? null : Number(text);
}
