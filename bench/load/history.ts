import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { CopyEncoder, EVENT_COLUMNS } from '../../src/intake/ingest/copyEncoding.ts';
import { CopyTransaction } from '../../src/intake/ingest/copyTransaction.ts';
import { Identities } from '../../src/intake/ingest/identities.ts';
import { KEY_COLUMNS } from '../../src/intake/ingest/identityClaims.ts';
import type { UsageEvent } from '../../src/model/usageEvent.ts';
import { WINDOW_MS } from '../../src/model/window.ts';
import { interruption } from '../support/interruption.ts';
import { withClient } from '../support/servers.ts';
import { encodeRows } from './copyBatches.ts';
import { makeEvent, seededRandom } from './workload.ts';

/** Stored events per second of the past: the same at every size, so that a window holds as much. */
const DENSITY = 1_000_000 / 86_400;
const ROWS_PER_COPY = 20_000;
const CONNECTIONS = 2;

/** Start of the range, in ms since the epoch, that `count` events fill up to `to`. */
export function historyStart(count: number, to: number): number {
  return Math.floor((to - (count / DENSITY) * 1_000) / WINDOW_MS) * WINDOW_MS;
}

/**
 * Sets the state of the windows back to a moment (ms since the epoch), so that the service closes and refreshes all
 * since then, as if time had passed. Earlier builds do not keep what is being refreshed.
 */
export async function setBack(url: string, from: number): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ more: string | null }>(
      `select string_agg(format(', %I = %s', attname, right(attname, 1)), '') as more from pg_attribute
       where attrelid = 'window_state'::regclass and attname in ('refreshing_1h', 'refreshing_1d')`,
    );
    await client.query(
      `with uncovered as (update window_coverage set covered_until = $1)
       update window_state set closed_until = w, refreshed_30s = w, refreshed_1h = h, refreshed_1d = d ${rows[0]!.more ?? ''}
       from (select $1::timestamptz as w, date_trunc('hour', $1::timestamptz, 'UTC') as h,
                    date_trunc('day', $1::timestamptz, 'UTC') as d) as start`,
      [new Date(from).toISOString()],
    );
  });
}

/**
 * Fills a migrated database with events that end at `to` (ms since the epoch). The state of the windows is set
 * back to their beginning first.
 */
export async function loadHistory(url: string, count: number, to: number): Promise<void> {
  const from = historyStart(count, to);
  await setBack(url, from);
  await copyAll(url, count, (first, rows) => {
    const random = seededRandom(first);
    return Array.from({ length: rows }, (_, i) => {
      const tsMicros = Math.floor(from * 1_000 + ((first + i) / count) * (to - from) * 1_000);
      return makeEvent(random, randomUUID(), tsMicros);
    });
  });
}

/**
 * Stores `count` events over a few connections.
 *
 * @param make those of one transaction: `rows` from the `first` on.
 * @param rowsPerCopy of one transaction, at most.
 */
export async function copyAll(
  url: string,
  count: number,
  make: (first: number, rows: number) => UsageEvent[],
  rowsPerCopy = ROWS_PER_COPY,
): Promise<void> {
  let loaded = 0;
  const load = async () => {
    const client = new pg.Client(url);
    await client.connect();
    const encoder = new CopyEncoder();
    try {
      while (loaded < count) {
        interruption.throwIfAborted();
        const first = loaded;
        loaded = Math.min(count, loaded + rowsPerCopy);
        await copyEvents(client, encoder, make(first, loaded - first));
      }
    } finally {
      await client.end();
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, load));
}

/**
 * Has the events of each transaction received when the last of them happened, as if a service had stored them then: events are
 * looked for around that moment.
 */
export async function receiveAsHappened(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(
      `create temp table happened as select received_at, max(ts) as at from event group by 1;
       analyze happened;
       update event e set received_at = h.at from happened h where h.received_at = e.received_at;
       update event_key e set received_at = h.at from happened h where h.received_at = e.received_at`,
    );
  });
}

/** Stores events in one transaction. */
export async function copyEvents(
  client: pg.Client,
  encoder: CopyEncoder,
  events: UsageEvent[],
): Promise<void> {
  encoder.reset();
  encodeRows(encoder, events, (await new Identities().current(client)).keys);
  const transaction = new CopyTransaction(
    `copy event_key (${KEY_COLUMNS.join(', ')}) from stdin (format binary);
     copy event (${EVENT_COLUMNS.join(', ')}) from stdin (format binary)`,
    encoder.take(),
  );
  client.query(transaction);
  await transaction.done;
}
