import { DEFAULT_EVENT_TYPE, type UsageEvent } from '../../src/model/usageEvent.ts';

/*
 * What every measurement writes: the calls of an LLM gateway, 100 customers, 5 endpoints, 3 models, evenly mixed. With
 * 1,500 combinations a batch of 5,000 rows hardly shrinks when it is rolled up, which is the hard case for a rollup.
 */

export const TENANT = 'bench';
export const CUSTOMERS = Array.from({ length: 100 }, (_, i) => `customer-${String(i).padStart(3, '0')}`);
const ENDPOINTS = ['/api/completion', '/api/chat', '/api/embedding', '/api/moderation', '/api/rerank'];
const MODELS = ['gpt-4', 'claude-3', 'llama-3'];

/** Uniform numbers in [0, 1) from a seed (mulberry32), so that every run writes the same rows. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** @param tsMicros microseconds since the epoch. */
export function makeEvent(random: () => number, eventId: string, tsMicros: number): UsageEvent {
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)]!;
  const inputTokens = Math.floor(random() * 2_000);
  const outputTokens = Math.floor(random() * 1_000);
  return {
    tenantId: TENANT,
    customerId: pick(CUSTOMERS),
    eventId,
    externalId: null,
    tsMicros,
    eventType: DEFAULT_EVENT_TYPE,
    sourceId: null,
    endpoint: pick(ENDPOINTS),
    model: pick(MODELS),
    reference: null,
    unit: null,
    value: null,
    tokens: inputTokens + outputTokens,
    inputTokens,
    outputTokens,
    latencyMs: Math.floor(random() * 2_000),
    metadata: null,
  };
}

/** The event as a client posts it. Id and timestamp have a fixed length, so that they can be replaced in place. */
export function asNative(event: UsageEvent): Record<string, unknown> {
  return {
    eventId: event.eventId,
    timestamp: new Date(event.tsMicros / 1_000).toISOString(),
    tenantId: event.tenantId,
    customerId: event.customerId,
    apiEndpoint: event.endpoint,
    metadata: {
      tokens: event.tokens,
      model: event.model,
      latencyMs: event.latencyMs,
      inputTokens: event.inputTokens,
      outputTokens: event.outputTokens,
    },
  };
}
