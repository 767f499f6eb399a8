import type { Question } from '../api/request.ts';

/** The first event of somebody who has none: what fills a list, as a question. */
export const SAMPLE_EVENT = {
  eventId: 'my-first-event',
  timestamp: new Date().toISOString(),
  customerId: 'customer-1',
  apiEndpoint: '/v1/chat',
  metadata: { model: 'gpt-4', inputTokens: 100, outputTokens: 20 },
};
export const SENDS_EVENT: Question = { method: 'POST', path: '/v1/events', body: SAMPLE_EVENT };
