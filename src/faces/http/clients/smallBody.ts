import type { Context } from 'hono';
import { TidemarkError } from '../../../model/errors.ts';
import { JsonNumber, parseJson } from '../../../model/json.ts';
import type { AppEnv } from '../appEnv.ts';
import { readBody } from '../readBody.ts';
import { requireUtf8 } from '../utf8.ts';

/** Bodies that hold no events, in bytes. */
const MAX_SMALL_BODY_BYTES = 65_536;

/**
 * A small body as text.
 *
 * @throws {TidemarkError} `invalid_encoding`; what `readBody` throws.
 */
export async function smallText(c: Context<AppEnv>): Promise<string> {
  return requireUtf8(await readBody(c, MAX_SMALL_BODY_BYTES));
}

/**
 * A small body of JSON. Numbers that no double holds are JsonNumbers.
 *
 * @throws {TidemarkError} `invalid_json`; what `smallText` throws.
 */
export async function smallJson(c: Context<AppEnv>): Promise<unknown> {
  const text = await smallText(c);
  try {
    return parseJson(text);
  } catch (error) {
    throw new TidemarkError('invalid_json', `the body is not valid JSON: ${(error as Error).message}`);
  }
}

/** The same of a body that must be an object. @throws {TidemarkError} `invalid_request` besides. */
export async function smallObject(c: Context<AppEnv>): Promise<Record<string, unknown>> {
  return requireObject(await smallJson(c), 'the body');
}

/** @param name of what must be an object, for the message. @throws {TidemarkError} `invalid_request`. */
export function requireObject(value: unknown, name: string): Record<string, unknown> {
  const isObject =
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber);
  if (!isObject) throw new TidemarkError('invalid_request', `${name} must be a JSON object`);
  return value as Record<string, unknown>;
}
