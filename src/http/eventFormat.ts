import type { Context } from 'hono';
import { TidemarkError } from '../errors.ts';
import type { Dialect, EventFormat } from '../events/parseEvents.ts';
import type { AppEnv } from './appEnv.ts';
import { ceAttributes } from './ceAttributes.ts';
import { requestHeader } from './nodeHttp.ts';

const FRAMINGS: Record<string, EventFormat['framing']> = {
  'application/json': 'json',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
};
const CLOUDEVENTS = ['application/cloudevents+json', 'application/cloudevents-batch+json'];

/**
 * How the body of POST /v1/events is to be read: native events, or CloudEvents in one of the three modes of their HTTP
 * binding (1.0.2, §3), which the content type tells apart, and `ce-specversion` where it does not.
 *
 * @throws {TidemarkError} `unsupported_media_type`, `invalid_request`.
 */
export function eventFormat(c: Context<AppEnv>): EventFormat {
  const type = mediaType(c);
  if (CLOUDEVENTS.includes(type)) return { dialect: 'cloudevents', framing: 'json' };
  if (!type.startsWith('application/cloudevents') && requestHeader(c, 'ce-specversion') !== undefined) {
    return { dialect: 'cloudevents', framing: 'json', attributes: ceAttributes(c) };
  }
  const framing = FRAMINGS[type];
  if (framing) return { dialect: 'native', framing };
  throw new TidemarkError(
    'unsupported_media_type',
    `send application/json, application/x-ndjson, ${CLOUDEVENTS.join(' or ')}`,
  );
}

/**
 * The same for the routes that take one dialect.
 *
 * @throws {TidemarkError} `unsupported_media_type`.
 */
export function formatOf(c: Context<AppEnv>, dialect: Dialect): EventFormat {
  const framing = FRAMINGS[mediaType(c)];
  if (framing) return { dialect, framing };
  throw new TidemarkError('unsupported_media_type', 'send application/json or application/x-ndjson');
}

function mediaType(c: Context<AppEnv>): string {
  return (requestHeader(c, 'content-type') ?? 'application/json').split(';', 1)[0]!.trim().toLowerCase();
}
