import { expect, test } from 'vitest';
import { Client } from './client.ts';
import { Random } from './random.ts';
import { Sender } from './sender.ts';
import type { PostedEvent } from './trafficModel.ts';

/** A service that has everything it is sent: how many requests were under way when each came. */
class Accepting extends Client {
  readonly underWay: number[] = [];
  private open = 0;

  constructor() {
    super('http://127.0.0.1:9', 'tm_nobody');
  }

  override async call<Body>(_method: string, _path: string, body?: unknown): Promise<Body> {
    this.underWay.push(this.open++);
    await Promise.resolve();
    this.open--;
    return { accepted: Array.isArray(body) ? body.length : 1, duplicates: 0 } as Body;
  }
}

const EVENT: PostedEvent = {
  eventId: 'e',
  timestamp: '2026-11-20T12:00:00Z',
  customerId: 'c',
  metadata: { inputTokens: 2, outputTokens: 3 },
};

async function send(repeats: { chance: number; meanwhile: number }) {
  const client = new Accepting();
  const sender = new Sender(client, new Random(9), 1, repeats);
  for (let i = 0; i < 10_000; i++) await sender.post([EVENT]);
  await sender.settled();
  expect(sender.failures).toEqual([]);
  // What is sent twice was acknowledged once.
  expect(sender.acknowledged).toEqual({
    events: 10_000,
    inputTokens: 20_000,
    outputTokens: 30_000,
    clicks: 0,
    impressions: 0,
  });
  expect(sender.requests).toBe(10_000 + sender.repeated);
  return { repeated: sender.repeated, meanwhile: client.underWay.filter((others) => others > 0).length };
}

test.each([
  { chance: 0, meanwhile: 1 },
  { chance: 0.3, meanwhile: 0.2 },
  { chance: 1, meanwhile: 1 },
])('as many requests are sent twice as the seeds say: %j', async (repeats) => {
  const { repeated, meanwhile } = await send(repeats);
  expect(repeated / 10_000).toBeCloseTo(repeats.chance, 1);
  expect(meanwhile / 10_000).toBeCloseTo(repeats.chance * repeats.meanwhile, 1);
});
