/** What is kept for a time, as the table `retention` names it. */
export const RETAINED = [
  'event',
  'usage_30s',
  'usage_1h',
  'usage_1d',
  'reference_1d',
  'event_identity',
  'idempotent_increment',
] as const;
export type Retained = (typeof RETAINED)[number];

/** What goes into the columnstore. usage_1d and reference_1d are small, and days are refreshed whole. */
export const COMPRESSED: readonly Retained[] = ['event', 'usage_30s', 'usage_1h'];
