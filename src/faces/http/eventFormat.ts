import type { Context } from 'hono';
import { FRAMINGS } from '../../intake/events/mediaTypes.ts';
import type { Dialect, EventFormat } from '../../intake/events/parseEvents.ts';
import { TidemarkError } from '../../model/errors.ts';
import type { AppEnv } from './appEnv.ts';
import { ceAttributes } from './ceAttributes.ts';
import { requestHeader } from './nodeHttp.ts';

/** Those named first of the media types that are taken. */
const TAKEN = ['application/json', 'application/x-ndjson'];
const FORM = 'application/x-www-form-urlencoded';
const CLOUDEVENTS = ['application/cloudevents+json', 'application/cloudevents-batch+json'];

/**
 * How the body of POST /v1/events is to be read: native events, or CloudEvents in one of the three modes of their HTTP
 * binding (1.0.2, §3), which the content type tells apart, and `ce-specversion` where it does not.
 *
 * @throws {TidemarkError} `unsupported_media_type`, `invalid_request`.
 */
export function eventFormat(c: Context<AppEnv>): EventFormat {
  const type = mediaType(c);
  if (type !== undefined && CLOUDEVENTS.includes(type)) return { dialect: 'cloudevents', framing: 'json' };
  if (!type?.startsWith('application/cloudevents') && requestHeader(c, 'ce-specversion') !== undefined) {
    return { dialect: 'cloudevents', framing: 'json', attributes: ceAttributes(c) };
  }
  const framing = framingOf(type);
  if (framing) return { dialect: 'native', framing };
  throw unsupported(type, [...TAKEN, ...CLOUDEVENTS]);
}

/**
 * The same for the routes that take one dialect.
 *
 * @throws {TidemarkError} `unsupported_media_type`.
 */
export function formatOf(c: Context<AppEnv>, dialect: Dialect): EventFormat {
  const type = mediaType(c);
  const framing = framingOf(type);
  if (framing) return { dialect, framing };
  throw unsupported(type, TAKEN);
}

/** Without parameters such as charset. undefined: there is no such header. */
function mediaType(c: Context<AppEnv>): string | undefined {
  return requestHeader(c, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase();
}

/** Who names no type may send either. undefined: it is a type that is not taken. */
function framingOf(type: string | undefined): EventFormat['framing'] | undefined {
  if (type === undefined) return 'either';
  return Object.hasOwn(FRAMINGS, type) ? FRAMINGS[type] : undefined;
}

function unsupported(type: string | undefined, taken: string[]): TidemarkError {
  // What curl -d says of any body, having taken the ends of its lines away.
  const curl = type === FORM ? `; with curl: -H 'Content-Type: ${taken[1]}' --data-binary @file` : '';
  return new TidemarkError(
    'unsupported_media_type',
    `send Content-Type: ${taken[0]} for an event or an array, ${taken[1]} for one a line${more(taken)}${curl}`,
    { headers: { Accept: taken.join(', ') } },
  );
}

const more = (taken: string[]) =>
  taken
    .slice(2)
    .map((type) => `, ${type}`)
    .join('');
