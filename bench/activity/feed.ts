import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../load/workload.ts';
import { typeOf, userOf } from './crowd.ts';

const EVERY_MS = 100;

export interface FeedTarget {
  port: number;
  key: string;
  users: number;
  /** Events of the present moment per second. */
  perSecond: number;
  /** Where late events go, one with each request: [from, to) in ms since the epoch. */
  late?: { from: number; to: number };
}

/** Posts events at a steady pace for as long as some work takes. @returns its result, and how many were stored. */
export async function whileFed<Result>(
  target: FeedTarget,
  work: () => Promise<Result>,
): Promise<{ result: Result; accepted: number }> {
  let done = false;
  const feeding = feed(target, () => done);
  try {
    const result = await Promise.race([work(), feeding.then(() => new Promise<never>(() => undefined))]);
    done = true;
    return { result, accepted: await feeding };
  } finally {
    done = true;
  }
}

async function feed({ port, key, users, perSecond, late }: FeedTarget, done: () => boolean): Promise<number> {
  const random = seededRandom(Date.now());
  let accepted = 0;
  let due = 0;
  for (let at = performance.now(); !done(); at += EVERY_MS) {
    due += (perSecond * EVERY_MS) / 1_000;
    const events = Array.from({ length: Math.floor(due) }, () => eventAt(random, users, Date.now()));
    due -= events.length;
    if (late) events.push(eventAt(random, users, late.from + Math.floor(random() * (late.to - late.from))));
    if (events.length > 0) accepted += await post(port, key, events);
    await sleep(Math.max(0, at + EVERY_MS - performance.now()));
  }
  return accepted;
}

function eventAt(random: () => number, users: number, at: number) {
  const eventType = typeOf(random);
  return {
    eventId: randomUUID(),
    timestamp: new Date(at).toISOString(),
    customerId: userOf(random, users),
    eventType,
    ...(eventType === 'api.request' && { apiEndpoint: '/' }),
    metadata: {},
  };
}

async function post(port: number, key: string, events: object[]): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/events`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(events),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { accepted: number }).accepted;
}
