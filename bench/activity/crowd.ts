import { randomUUID } from 'node:crypto';
import { createKey } from '../../src/access/tenancy/keys.ts';
import type { UsageEvent } from '../../src/model/usageEvent.ts';
import { copyAll, setBack } from '../load/history.ts';
import { seededRandom } from '../load/workload.ts';
import { withClient } from '../support/servers.ts';

/** What `bench:activity` stores: impressions and clicks of many users, evenly over some hours. */
export interface Crowd {
  events: number;
  users: number;
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
}

export const CROWD = 'crowd';

export function userOf(random: () => number, users: number): string {
  return `user-${String(Math.floor(random() * users)).padStart(6, '0')}`;
}

/** Two thirds impressions, a quarter clicks, the rest calls. */
export function typeOf(random: () => number): string {
  const share = random();
  return share < 0.67 ? 'impression' : share < 0.92 ? 'click' : 'api.request';
}

/** Fills a migrated database; nothing of it is closed yet. @returns a key of the tenant. */
export async function loadCrowd(url: string, crowd: Crowd): Promise<string> {
  await setBack(url, crowd.from);
  const key = await withClient(url, async (client) => {
    await client.query('insert into tenant (id, name) values ($1, $1)', [CROWD]);
    await client.query(
      `insert into customer (tenant_id, external_id)
       select $1, 'user-' || lpad(i::text, 6, '0') from generate_series(0, $2::int - 1) as i`,
      [CROWD, crowd.users],
    );
    return (await createKey(client, { tenantId: CROWD, scopes: ['ingest', 'read'] })).key;
  });
  await copyAll(url, crowd.events, (first, rows) => {
    const random = seededRandom(first + 1);
    return Array.from({ length: rows }, (_, i) => makeEvent(random, crowd, first + i));
  });
  return key;
}

function makeEvent(random: () => number, { events, users, from, to }: Crowd, i: number): UsageEvent {
  return {
    tenantId: CROWD,
    customerId: userOf(random, users),
    eventId: randomUUID(),
    externalId: null,
    tsMicros: Math.floor(from * 1_000 + (i / events) * (to - from) * 1_000),
    eventType: typeOf(random),
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
  };
}
