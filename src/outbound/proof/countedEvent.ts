import { decimalOf, numberOf } from '../../ground/db/numbers.ts';
import { canonicalJson } from '../../model/canonicalJson.ts';
import { parseJson } from '../../model/json.ts';
import { type ExportedEvent, eventJsonLine } from '../exporting/eventLines.ts';
import type { CountedEvent } from './windowDigest.ts';

/** A stored event as it goes into the digest of its window: by way of the line that an export has of it. */
export function countedEvent(tenantId: string, row: ExportedEvent): CountedEvent {
  return {
    line: canonicalJson(parseJson(eventJsonLine(tenantId, row))),
    eventType: row.event_type,
    tokens: numberOf(row.tokens),
    inputTokens: numberOf(row.input_tokens),
    outputTokens: numberOf(row.output_tokens),
    value: row.value === null ? null : decimalOf(row.value),
  };
}
