import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { TENANT } from '../load/workload.ts';
import { rangeOf } from '../services/asking.ts';
import type { StoredHistory } from '../services/storedHistory.ts';
import { interruption } from '../support/interruption.ts';

const LOOK_MS = 20;
const REFRESHED_MS = 600_000;

/** What a correction answers. */
export interface Answer {
  correctionId: string | null;
  at: string;
  events: number;
  windows: number;
  unknown: string[];
}

/** Asks the service as the platform, for the tenant. @throws where the answer is none of success. */
export async function ask<Body>(
  { service }: Pick<StoredHistory, 'service'>,
  path: string,
  body?: unknown,
): Promise<Body> {
  const answer = await fetch(`http://127.0.0.1:${service.port}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      Authorization: `Bearer ${service.adminKey}`,
      'X-Tenant-Id': TENANT,
      'Content-Type': 'application/json',
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: interruption,
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Body;
}

/** An event by its id, and by its time where that is known (ISO 8601, to the microsecond). */
export type Named = string | { eventId: string; timestamp: string };

/** Voids or restores events, all of which are named in the same way. @returns how long its answer took, in ms, and what it was. */
export async function correct(
  history: Pick<StoredHistory, 'service'>,
  kind: 'void' | 'restore',
  events: readonly Named[],
): Promise<{ ms: number; answer: Answer }> {
  const began = performance.now();
  const answer = await ask<Answer>(history, `/v1/events/${kind}`, {
    reason: 'a benchmark',
    [typeof events[0] === 'string' ? 'ids' : 'events']: events,
  });
  return { ms: performance.now() - began, answer };
}

/** Calls of a range, of a customer or all, as the service says: [from, to) in ms since the epoch. */
export async function callsOf(
  history: Pick<StoredHistory, 'service'>,
  from: number,
  to: number,
  customerId?: string,
): Promise<number> {
  const whose = customerId === undefined ? '' : `&customerId=${customerId}`;
  const path = `/v1/usage?granularity=1mo&${rangeOf(from, to)}${whose}`;
  const { data } = await ask<{ data: { calls: number }[] }>(history, path);
  return data.reduce((sum, { calls }) => sum + calls, 0);
}

/** Waits until no window waits for its rollups. */
export async function refreshed(client: pg.Client): Promise<void> {
  const deadline = Date.now() + REFRESHED_MS;
  for (;;) {
    const { rows } = await client.query('select from late_window where stale or stale_references limit 1');
    if (rows.length === 0) return;
    if (Date.now() > deadline) throw new Error(`windows are stale after ${REFRESHED_MS} ms`);
    await sleep(LOOK_MS, undefined, { signal: interruption });
  }
}

/** Whether the same calls are in the rollups and among the events: what differs. */
export async function compareCounts(client: pg.Client, expected: number): Promise<string[]> {
  const { rows } = await client.query<Record<string, string>>(
    `select (select count(*) from event) as events, (select coalesce(sum(calls), 0) from usage_30s) as calls_in_usage_30s,
       (select coalesce(sum(calls), 0) from usage_1h) as calls_in_usage_1h,
       (select coalesce(sum(calls), 0) from usage_1d) as calls_in_usage_1d`,
  );
  return Object.entries(rows[0]!)
    .filter(([, count]) => Number(count) !== expected)
    .map(([what, count]) => `${what}: ${count} where ${expected} count`);
}
