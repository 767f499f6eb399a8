import type { EventFormat } from './parseEvents.ts';

/**
 * The media types of one event, or one a line, and how they are read. JSON Lines has no registered type, so there are
 * many; the ones that tools send are here.
 */
export const FRAMINGS: Readonly<Record<string, EventFormat['framing']>> = {
  'application/json': 'json',
  'text/json': 'json',
  ...Object.fromEntries(
    ['ndjson', 'jsonl', 'jsonlines', 'json-lines', 'json-l', 'ldjson', 'json-stream']
      .flatMap((name) => [name, `x-${name}`])
      .flatMap((name) => [`application/${name}`, `text/${name}`])
      .map((type) => [type, 'ndjson'] as const),
  ),
  'application/stream+json': 'ndjson',
};
