import type { Context } from 'hono';
import { TidemarkError } from '../../model/errors.ts';
import type { AppEnv } from './appEnv.ts';
import { requestHeader } from './nodeHttp.ts';

const MAX_LENGTH = 256;
/** A String of RFC 8941 §3.3.3, parameters behind it. */
const QUOTED = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"\s*(?:;.*)?$/;
/** What clients send that know no structured fields. */
const BARE = /^[\x21\x23-\x2b\x2d-\x7e]+$/;

/**
 * The Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header-07, §2.1): a string in quotes; one without
 * them is taken too, and is the same.
 *
 * @throws {TidemarkError} `invalid_request` when it is something else.
 */
export function idempotencyKey(c: Context<AppEnv>): string | undefined {
  const header = requestHeader(c, 'idempotency-key')?.trim();
  if (header === undefined) return undefined;
  const quoted = QUOTED.exec(header)?.[1]?.replace(/\\(.)/g, '$1');
  const key = quoted ?? (BARE.test(header) ? header : undefined);
  if (key === undefined || key.length > MAX_LENGTH) {
    throw new TidemarkError(
      'invalid_request',
      `Idempotency-Key must be one text in quotes of at most ${MAX_LENGTH} ASCII characters`,
    );
  }
  return key;
}
