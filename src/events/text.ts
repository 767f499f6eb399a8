/**
 * Whether PostgreSQL can store the text as it is: no NUL, no lone surrogate. A lone surrogate would be replaced
 * on its way to UTF-8, and two different ids would become one.
 */
export function isStorableText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** The same for every key and string inside a JSON value. */
export function isStorableJson(value: unknown): boolean {
  if (typeof value === 'string') return isStorableText(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, inner]) => isStorableText(key) && isStorableJson(inner));
}

/**
 * Whether a JSON document may contain text that PostgreSQL refuses. In JSON both NUL and a lone surrogate can only
 * be written as an escape, so a document without such an escape needs no further look.
 */
export function mayHoldUnstorableText(json: string): boolean {
  return json.includes('\\u') && /\\u(?:0000|[dD][89a-fA-F])/.test(json);
}
