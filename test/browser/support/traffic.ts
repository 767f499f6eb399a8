import type { Site, Tenant } from './site.ts';

const MODELS = ['gpt-4o', 'claude-sonnet-4'];
const ENDPOINTS = ['/v1/chat', '/v1/embeddings', '/v1/images'];

/**
 * Posts events that are the same with every run, but for when they are: so many minutes back from now, some of each
 * minute.
 *
 * @returns what was posted, for sums by hand.
 */
export async function postTraffic(
  site: Site,
  tenant: Tenant,
  { minutes = 120, perMinute = 5, customers = 4, end = Date.now() } = {},
) {
  const events = Array.from({ length: minutes * perMinute }, (_, i) => {
    const inputTokens = 10 + ((i * 7) % 90);
    const outputTokens = (i * 13) % 50;
    return {
      eventId: `${tenant.id}-${i}`,
      timestamp: new Date(end - 1_000 - Math.floor((i * 60_000) / perMinute)).toISOString(),
      customerId: `customer-${1 + (i % customers)}`,
      apiEndpoint: ENDPOINTS[i % ENDPOINTS.length]!,
      value: `${i % 10}.05`,
      metadata: {
        model: MODELS[Math.floor(i / 2) % MODELS.length]!,
        inputTokens,
        outputTokens,
        latencyMs: 20 + ((i * 37) % 400),
      },
    };
  });
  for (let at = 0; at < events.length; at += 500) {
    await site.call('POST', '/v1/events', { key: tenant.key, body: events.slice(at, at + 500) });
  }
  return events;
}
