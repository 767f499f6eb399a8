import { TidemarkError } from '../../model/errors.ts';
import { FRAMINGS } from '../events/mediaTypes.ts';
import type { EventFormat } from '../events/parseEvents.ts';
import type { SourceEntry } from './source.ts';

/** What an entry may call its body: the media types of POST /v1/events, or a dialect. */
const FORMATS = new Map<string, EventFormat>([
  ...Object.entries(FRAMINGS).map(([type, framing]) => [type, { dialect: 'native', framing }] as const),
  ['application/cloudevents+json', { dialect: 'cloudevents', framing: 'json' }],
  ['application/cloudevents-batch+json', { dialect: 'cloudevents', framing: 'json' }],
  ...(['native', 'cloudevents', 'record', 'increment'] as const).map(
    (dialect) => [dialect, { dialect, framing: 'either' }] as const,
  ),
]);

/**
 * How the body of an entry is to be read: as its type says, or as the data of a CloudEvent whose attributes stand beside it.
 *
 * @throws {TidemarkError} `unsupported_media_type`.
 */
export function formatOf({ type, attributes }: SourceEntry): EventFormat {
  if (attributes) {
    const named = type === null ? attributes : { ...attributes, datacontenttype: type };
    return { dialect: 'cloudevents', framing: 'json', attributes: named };
  }
  // Without parameters such as charset.
  const format = FORMATS.get((type ?? 'native').split(';', 1)[0]!.trim().toLowerCase());
  if (format) return format;
  throw new TidemarkError(
    'unsupported_media_type',
    'the type may be native, cloudevents, record, increment, or a media type of POST /v1/events',
  );
}
