import { randomUUID } from 'node:crypto';

/** An event as a client would post it. */
export interface ClientEvent {
  eventId: string;
  timestamp: string;
  customerId: string;
  apiEndpoint: string;
  eventType?: string;
  reference?: string;
  value?: string;
  metadata: {
    tokens?: number;
    inputTokens?: number;
    outputTokens?: number;
    latencyMs?: number;
    model?: string;
  };
}

/** A small pseudo-random generator (mulberry32): the same seed gives the same traffic. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A plain event now. */
export function anEvent(overrides: Partial<ClientEvent> = {}): ClientEvent {
  return {
    eventId: randomUUID(),
    timestamp: new Date().toISOString(),
    customerId: 'customer-1',
    apiEndpoint: '/api/completion',
    metadata: { tokens: 10 },
    ...overrides,
  };
}

/** Plain events of about 1,200 bytes each: a few thousand of them are more than the sockets on the way hold. */
export function bulkyEvents(count: number): ClientEvent[] {
  return Array.from({ length: count }, () => anEvent({ apiEndpoint: `/api/${'x'.repeat(1_000)}` }));
}

/** An event anywhere in [from, to) ms, with anything an event may or may not have. */
export function randomEvent(random: () => number, from: number, to: number): ClientEvent {
  const pick = <T>(values: T[]): T => values[Math.floor(random() * values.length)]!;
  const maybe = <T>(chance: number, value: T) => (random() < chance ? value : undefined);
  // Now and then exactly on the edge of a window, or a millisecond before it.
  let at = Math.floor(from + random() * (to - from));
  const edge = Math.floor(at / 30_000) * 30_000;
  if (random() < 0.1 && edge > from) at = pick([edge, edge - 1, edge + 29_999]);
  const event = {
    eventId: randomUUID(),
    timestamp: new Date(Math.min(Math.max(at, from), to - 1)).toISOString(),
    customerId: pick(['alice', 'bob', 'carol', 'Zoë', '客户', "o'neil", 'back\\slash']),
    apiEndpoint: pick(['/api/completion', '/api/embed', '/api/"quoted"']),
    eventType: maybe(0.3, pick(['click', 'impression', 'api.request', 'positive', 'negative'])),
    reference: maybe(0.3, pick(['order-1', 'order-2'])),
    value: maybe(0.3, (random() * 1_000 - 500).toFixed(Math.floor(random() * 10))),
    metadata: {
      tokens: maybe(0.5, Math.floor(random() * 2_000)),
      inputTokens: maybe(0.6, Math.floor(random() * 900)),
      outputTokens: maybe(0.6, Math.floor(random() * 900)),
      // Eighths add up without rounding.
      latencyMs: maybe(
        0.7,
        pick([Math.round(random() * 32_000) / 8, Math.round(random() * 80) / 8, 0, 500_000_000]),
      ),
      model: maybe(0.7, pick(['gpt-4', 'claude', 'llama'])),
    },
  };
  return JSON.parse(JSON.stringify(event)) as ClientEvent;
}

/** What the rules make of an event's tokens. */
export function tokensOf({ metadata }: ClientEvent): number {
  return metadata.tokens ?? (metadata.inputTokens ?? 0) + (metadata.outputTokens ?? 0);
}
