import { isUtf8 } from 'node:buffer';
import { TidemarkError } from '../../model/errors.ts';

/**
 * The text of a body, without a byte order mark. Bytes that are none of a text would all become the same character.
 *
 * @throws {TidemarkError} `invalid_encoding`.
 */
export function requireUtf8(body: Buffer): string {
  if (!isUtf8(body)) throw new TidemarkError('invalid_encoding', 'the body is not valid UTF-8');
  return new TextDecoder().decode(body);
}
