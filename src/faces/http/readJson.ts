import type { Context } from 'hono';
import { TidemarkError } from '../../model/errors.ts';
import { JsonNumber, numberText } from '../../model/json.ts';
import type { AppEnv } from './appEnv.ts';
import { requestHeader } from './nodeHttp.ts';

const JSON_TYPE = /^application\/(?:[a-z-.]+\+)?json(?:;|$)/i;

/**
 * A body of JSON for what checks it by itself: numbers that no double holds are JsonNumbers. On paths whose bodies have
 * gone through `keepDigits`.
 *
 * @throws {TidemarkError} `unsupported_media_type`, `invalid_json`.
 */
export async function readJson(c: Context<AppEnv>): Promise<unknown> {
  if (!JSON_TYPE.test((requestHeader(c, 'content-type') ?? '').trim())) {
    throw new TidemarkError('unsupported_media_type', 'send application/json', {
      headers: { Accept: 'application/json' },
    });
  }
  const text = await c.req.text();
  try {
    return JSON.parse(text, (_, value) => {
      const digits = typeof value === 'string' ? numberText(value) : undefined;
      return digits === undefined ? value : new JsonNumber(digits);
    });
  } catch (error) {
    throw new TidemarkError('invalid_json', 'the body is not valid JSON', { cause: error });
  }
}
