import { DEFAULT_EVENT_TYPE, type UsageEvent } from '../../src/model/usageEvent.ts';

/*
 * What every measurement writes: the calls of an LLM gateway, 100 customers, 5 endpoints, 3 models, evenly mixed. With
 * 1,500 combinations a batch of 5,000 rows hardly shrinks when it is rolled up, which is the hard case for a rollup.
 */

export const TENANT = 'bench';
export const CUSTOMERS = customerIds(100);
const ENDPOINTS = ['/api/completion', '/api/chat', '/api/embedding', '/api/moderation', '/api/rerank'];
const MODELS = ['gpt-4', 'claude-3', 'llama-3'];

/** The ids of the first so many customers, up to 1,000: the same of every tenant. */
export function customerIds(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `customer-${String(i).padStart(3, '0')}`);
}

/** The ids of so many tenants, the first of them the usual one. */
export function tenantIds(count: number): string[] {
  return Array.from({ length: count }, (_, i) => (i === 0 ? TENANT : `${TENANT}-${i}`));
}

/** What meters read of an event, beside the usual fields: whether its dimensions are evenly mixed, or those of its customer. */
export type Members = 'mixed' | 'of customers';
/** How many values a dimension has, and how many documents there are. */
export const DIMENSION_VALUES = 10;
const DOCUMENTS = 100_000;

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

/**
 * @param tsMicros microseconds since the epoch.
 * @param customers whose events they are, evenly.
 * @param members what its metadata have besides; nothing where there is none.
 */
export function makeEvent(
  random: () => number,
  eventId: string,
  tsMicros: number,
  customers: readonly string[] = CUSTOMERS,
  members?: Members,
): UsageEvent {
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)]!;
  const inputTokens = Math.floor(random() * 2_000);
  const outputTokens = Math.floor(random() * 1_000);
  const customerId = pick(customers);
  const event: UsageEvent = {
    tenantId: TENANT,
    customerId,
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
    document: null,
  };
  return members === undefined ? event : withMembers(event, random, members);
}

/** A number with decimals, one of 100,000 documents, and two dimensions of ten values each. */
function withMembers(event: UsageEvent, random: () => number, members: Members): UsageEvent {
  const any = (count: number) => Math.floor(random() * count);
  const customer = Number(event.customerId.slice(-3));
  const [region, plan] =
    members === 'mixed'
      ? [any(DIMENSION_VALUES), any(DIMENSION_VALUES)]
      : [customer % DIMENSION_VALUES, Math.floor(customer / DIMENSION_VALUES) % DIMENSION_VALUES];
  const document = {
    gb: any(1_000_000) / 1_000,
    document: `document-${any(DOCUMENTS)}`,
    region: `region-${region}`,
    plan: `plan-${plan}`,
  };
  return { ...event, metadata: JSON.stringify(document), document };
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
      ...event.document,
    },
  };
}
