/** Types of the events that are records: what is added to a destination, and what is taken from it. */
export const RECORD_TYPES = ['positive', 'negative'] as const;
export type RecordType = (typeof RECORD_TYPES)[number];
