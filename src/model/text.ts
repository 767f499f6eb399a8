/**
 * Whether PostgreSQL can store the text as it is: no NUL, no lone surrogate. A lone surrogate would be replaced
 * on its way to UTF-8, and two different ids would become one.
 */
export function isStorableText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/**
 * Looks through every key and string inside a JSON value.
 *
 * @param levels of it that are looked through.
 * @returns the keys that lead to the first text that cannot be stored, or to the object with such a key; null when
 * there is none.
 */
export function findUnstorableText(value: unknown, levels = Number.POSITIVE_INFINITY): string[] | null {
  if (typeof value === 'string') return isStorableText(value) ? null : [];
  if (typeof value !== 'object' || value === null || levels === 0) return null;
  // Nothing that has been parsed inherits; a list of entries would cost more than the look.
  for (const key in value) {
    if (!isStorableText(key)) return [];
    const path = findUnstorableText((value as Record<string, unknown>)[key], levels - 1);
    if (path) return [key, ...path];
  }
  return null;
}

/**
 * Whether a JSON document may contain text that PostgreSQL refuses. In JSON both NUL and a lone surrogate can only
 * be written as an escape, so a document without such an escape needs no further look.
 */
export function mayHoldUnstorableText(json: string): boolean {
  return json.includes('\\u') && /\\u(?:0000|[dD][89a-fA-F])/.test(json);
}
