/*
 * An event's document is its metadata, with the named fields of the native event in their places: a column where that
 * is not null, else the metadata's member of that name.
 */

/**
 * Fields that have a column. Metadata may have a member of the same name: of those beside it (`value`) always, of its own
 * (`tokens`) where it came by a dialect of others and has not the form of the column.
 */
export const COLUMN_FIRST = {
  apiEndpoint: 'endpoint',
  reference: 'reference',
  unit: 'unit',
  value: 'value',
  tokens: 'tokens',
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  latencyMs: 'latency_ms',
  model: 'model',
} as const;

/** Another name for the reference, where metadata has no member of that name. */
export const SESSION_ID = 'sessionId';

export type ColumnFirst = keyof typeof COLUMN_FIRST;

export function isColumnFirst(name: string): name is ColumnFirst {
  return Object.hasOwn(COLUMN_FIRST, name);
}
