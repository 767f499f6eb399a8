/** What is kept for a time, as the table `retention` names it. */
export const RETAINED = [
  'event',
  'usage_30s',
  'usage_1h',
  'usage_1d',
  'reference_1d',
  'meter_30s',
  'meter_1h',
  'meter_1d',
  'event_key',
  'idempotent_increment',
] as const;
export type Retained = (typeof RETAINED)[number];

/** What goes into the columnstore. Days are small, those of usage are refreshed whole, and those of meters change late. */
export const COMPRESSED: readonly Retained[] = ['event', 'usage_30s', 'usage_1h', 'meter_30s', 'meter_1h'];
