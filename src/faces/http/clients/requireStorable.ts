import { TidemarkError } from '../../../model/errors.ts';
import { isStorableText } from '../../../model/text.ts';

/**
 * A text that the database can compare with.
 *
 * @param name of the parameter.
 * @throws {TidemarkError} `invalid_request`.
 */
export function requireStorable(name: string, text: string): string {
  if (isStorableText(text)) return text;
  throw new TidemarkError('invalid_request', `${name} must not contain NUL or unpaired surrogates`);
}
