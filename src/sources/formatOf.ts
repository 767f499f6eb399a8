import { TidemarkError } from '../errors.ts';
import type { EventFormat } from '../events/parseEvents.ts';

/** What an entry may call its body: the media types of POST /v1/events, or a dialect. */
const FORMATS = new Map<string, EventFormat>([
  ['application/json', { dialect: 'native', framing: 'json' }],
  ['application/x-ndjson', { dialect: 'native', framing: 'ndjson' }],
  ['application/ndjson', { dialect: 'native', framing: 'ndjson' }],
  ['application/jsonl', { dialect: 'native', framing: 'ndjson' }],
  ['application/cloudevents+json', { dialect: 'cloudevents', framing: 'json' }],
  ['application/cloudevents-batch+json', { dialect: 'cloudevents', framing: 'json' }],
  ['native', { dialect: 'native', framing: 'json' }],
  ['cloudevents', { dialect: 'cloudevents', framing: 'json' }],
  ['record', { dialect: 'record', framing: 'json' }],
  ['increment', { dialect: 'increment', framing: 'json' }],
]);

/**
 * @param type null: native events as JSON. Parameters such as charset are passed over.
 * @throws {TidemarkError} `unsupported_media_type`.
 */
export function formatOf(type: string | null): EventFormat {
  const format = FORMATS.get((type ?? 'native').split(';', 1)[0]!.trim().toLowerCase());
  if (format) return format;
  throw new TidemarkError(
    'unsupported_media_type',
    'the type may be native, cloudevents, record, increment, or a media type of POST /v1/events',
  );
}
