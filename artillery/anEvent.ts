import { randomUUID } from 'node:crypto';

const MODELS = ['gpt-4o', 'claude-sonnet', 'llama-3-70b'];
const ENDPOINTS = ['/api/completion', '/api/embedding', '/api/chat'];
/** Of ten events seven are calls, two impressions and one is a click. */
const TYPES = [...Array<string>(7).fill('api.request'), 'impression', 'impression', 'click'];

/** A native event, as it is posted. */
export interface Event {
  eventId: string;
  timestamp: string;
  customerId: string;
  eventType: string;
  apiEndpoint?: string;
  metadata?: { model: string; inputTokens: number; outputTokens: number; latencyMs: number };
}

/** An event with an id of its own. @param at when it happened, ms since the epoch. */
export function anEvent(customerId: string, at: number): Event {
  const event = {
    eventId: randomUUID(),
    timestamp: new Date(at).toISOString(),
    customerId,
    eventType: oneOf(TYPES),
  };
  if (event.eventType !== 'api.request') return event;
  const metadata = {
    model: oneOf(MODELS),
    inputTokens: below(2_000),
    outputTokens: below(800),
    latencyMs: below(20_000) / 10,
  };
  return { ...event, apiEndpoint: oneOf(ENDPOINTS), metadata };
}

export function below(limit: number): number {
  return Math.floor(Math.random() * limit);
}

function oneOf<T>(values: readonly T[]): T {
  return values[below(values.length)]!;
}
