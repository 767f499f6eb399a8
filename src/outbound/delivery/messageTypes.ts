/** What may be sent out. */
export const MESSAGE_TYPES = [
  'record.processed',
  'alert.triggered',
  'usage.threshold',
  'window.closed',
  'window.revised',
] as const;
export type MessageType = (typeof MESSAGE_TYPES)[number];

export const ALERT_FIELDS = ['value', 'tokens', 'latencyMs'] as const;
export type AlertField = (typeof ALERT_FIELDS)[number];

export const USAGE_MEASURES = ['calls', 'tokens', 'value'] as const;
export type UsageMeasure = (typeof USAGE_MEASURES)[number];

export const USAGE_PERIODS = ['hour', 'day', 'month'] as const;
export type UsagePeriod = (typeof USAGE_PERIODS)[number];
