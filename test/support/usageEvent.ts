import { DEFAULT_EVENT_TYPE, type UsageEvent } from '../../src/model/usageEvent.ts';

/** An event as it is stored, which has nothing but what is given and what it must have. */
export function usageEvent(fields: Partial<UsageEvent> = {}): UsageEvent {
  return {
    tenantId: 'tenant',
    customerId: 'customer',
    eventId: '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60',
    externalId: null,
    tsMicros: 0,
    eventType: DEFAULT_EVENT_TYPE,
    sourceId: null,
    endpoint: null,
    model: null,
    reference: null,
    unit: null,
    value: null,
    tokens: null,
    inputTokens: null,
    outputTokens: null,
    latencyMs: null,
    metadata: null,
    document: null,
    ...fields,
  };
}
