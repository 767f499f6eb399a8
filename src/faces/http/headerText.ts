import { isUtf8 } from 'node:buffer';

/** C1 controls: text in Latin-1 has none, Windows-1252 has letters there. */
const NO_LATIN_1 = /[\x80-\x9f]/;

/**
 * The characters of a header's value. RFC 9110 §5.5 says nothing of those beyond ASCII: most clients send UTF-8, and
 * those that write one byte per character, as Node.js does with `müller`, send Latin-1. Text in Latin-1 is UTF-8 only
 * where it looks like text that has been encoded twice (`Ã¼`), and is taken for UTF-8 then.
 *
 * @param value one character per byte, as Node has headers.
 * @returns null when it is neither.
 */
export function headerText(value: string): string | null {
  const bytes = Buffer.from(value, 'latin1');
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return NO_LATIN_1.test(value) ? null : value;
}
