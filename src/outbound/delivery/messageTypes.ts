/** What may be sent out. */
export const MESSAGE_TYPES = [
  'record.processed',
  'alert.triggered',
  'usage.threshold',
  'window.closed',
  'window.revised',
] as const;
export type MessageType = (typeof MESSAGE_TYPES)[number];

export const ALERT_FIELDS = ['value', 'tokens', 'latencyMs', 'cost'] as const;
export type AlertField = (typeof ALERT_FIELDS)[number];

export const USAGE_MEASURES = ['calls', 'tokens', 'value', 'cost'] as const;
export type UsageMeasure = (typeof USAGE_MEASURES)[number];

/**
 * Which meters can be compared of each event: those whose values are numbers; and which over a period per customer: those
 * that a batch adds to without looking at what was there.
 */
export const METER_AGGREGATIONS = {
  event: ['sum', 'avg', 'min', 'max', 'latest'],
  usage: ['count', 'sum', 'max'],
} as const;
export type UsageAggregation = (typeof METER_AGGREGATIONS)['usage'][number];

export const USAGE_PERIODS = ['hour', 'day', 'month'] as const;
export type UsagePeriod = (typeof USAGE_PERIODS)[number];

/** Why a rule that compares this cannot have this currency, or cannot go without one; null: it can. */
export function currencyFault(
  compared: AlertField | UsageMeasure | undefined,
  currency: string | undefined,
): { code: 'required' | 'not_allowed'; message: string } | null {
  if ((compared === 'cost') === (currency !== undefined)) return null;
  return compared === 'cost'
    ? { code: 'required', message: 'is required with cost, as in USD' }
    : { code: 'not_allowed', message: 'goes with cost alone' };
}
