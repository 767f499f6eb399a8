import { jsonNumber } from '../../../model/json.ts';
import type { StoredEvent } from '../../../sums/listing/listEvents.ts';

/** What an event was sent with, as its client had it in one object: the metadata, and beside them what has a column. */
export function storedDocument(event: StoredEvent): Record<string, unknown> {
  const { apiEndpoint, reference, unit, value, metadata } = event;
  return {
    ...(apiEndpoint !== undefined && { apiEndpoint }),
    ...(reference !== undefined && { reference }),
    ...(unit !== undefined && { unit }),
    ...(value !== undefined && { value: jsonNumber(value) }),
    ...metadata,
  };
}
