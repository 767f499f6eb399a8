import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { connect, connectionSettings, connectRefresher } from '../../src/ground/db/connections.ts';
import { CopyEncoder } from '../../src/intake/ingest/copyEncoding.ts';
import { chunksDue, compressChunk } from '../../src/sums/retention/compressChunks.ts';
import { closeWindows } from '../../src/sums/windows/closeWindows.ts';
import { Refresher } from '../../src/sums/windows/refresher.ts';
import { WindowMetrics } from '../../src/sums/windows/windowMetrics.ts';
import { copyEvents, setBack } from '../load/history.ts';
import { interruption } from '../support/interruption.ts';
import { relationBytes } from '../support/relationSizes.ts';
import type { BenchDatabase, BenchServer, Engine } from '../support/servers.ts';
import type { Feed } from './traffic.ts';

const ROLLUPS = ['usage_30s', 'usage_1h', 'usage_1d', 'reference_1d'];
const PLAIN = [
  ...['activity_calls', 'activity_customer', 'activity_users'],
  ...['late_window', 'late_window_sum', 'event_key'],
];

type Sizes = Record<string, number>;

export interface StorageReport {
  engine: Engine;
  name: string;
  events: number;
  rows: Record<string, number>;
  /** Bytes with indexes and TOAST. */
  before: Sizes;
  /** Null on the postgres engine. */
  after: Sizes | null;
  /** Bytes of a relation in other orders. */
  alternatives: { relation: string; order: string; bytes: number }[];
  problems: string[];
}

const ORDERS: Record<string, [segmentby: string, orderby: string][]> = {
  event: [
    ['tenant_id', 'ts'],
    ['tenant_id', 'customer_id, ts'],
    ['tenant_id, customer_id', 'ts'],
  ],
  usage_30s: [
    ['tenant_id', 'bucket, customer_id'],
    ['tenant_id', 'customer_id, bucket'],
    ['tenant_id, customer_id', 'bucket'],
  ],
};

/** Stores the feed, closes, refreshes and covers it, and measures; then once more in the columnstore. */
export async function measureStorage(
  server: BenchServer,
  feed: Feed,
  alternatives: boolean,
): Promise<StorageReport> {
  const database = await server.createDatabase('migrated');
  const client = new pg.Client(database.url);
  await client.connect();
  try {
    await client.query(`insert into tenant (id, name) select id, id from unnest($1::text[]) as id`, [
      ['northwind', 'globex', 'initech', 'hooli', 'umbrella', 'trace'],
    ]);
    await setBack(database.url, feed.from);
    let events = 0;
    const encoder = new CopyEncoder();
    for await (const batch of feed.batches()) {
      interruption.throwIfAborted();
      await copyEvents(client, encoder, batch);
      events += batch.length;
    }
    // As if each had been received a little after it happened: else those of a batch would have one and the same time.
    await client.query(`update event set received_at = ts + random() * interval '50 ms'`);
    await client.query('vacuum full event');
    await bringUp(client, database);
    await client.query('vacuum analyze');
    const sums = await sumsOf(client);
    const before = await sizesOf(client, server.engine);
    let after: Sizes | null = null;
    const problems = sums.event === sums.usage_30s && sums.event === sums.usage_1d ? [] : ['sums differ'];
    const others: StorageReport['alternatives'] = [];
    if (server.engine === 'timescale') {
      await client.query(`update retention set compress_after = interval '1 day'
                          where relation in ('event', 'usage_30s', 'usage_1h')`);
      const { signal } = new AbortController();
      for (const chunk of await chunksDue(client)) await compressChunk(client, client2(), chunk, signal);
      await client.query('vacuum analyze');
      after = await sizesOf(client, server.engine);
      if (JSON.stringify(await sumsOf(client)) !== JSON.stringify(sums)) problems.push('sums changed');
      if (alternatives) others.push(...(await otherOrders(client)));
    }
    const rows = await rowsOf(client);
    return {
      engine: server.engine,
      name: feed.name,
      events,
      rows,
      before,
      after,
      alternatives: others,
      problems,
    };
  } finally {
    await client.end();
    await database.drop();
  }
}

/** Nobody else is there to wait. */
function client2(): Pick<pg.Pool, 'query'> {
  return { query: (async () => ({ rows: [] })) as unknown as pg.Pool['query'] };
}

/** Closes everything, and refreshes and covers what has closed. */
async function bringUp(client: pg.Client, { url, engine }: BenchDatabase): Promise<void> {
  const config = loadConfig({ DATABASE_URL: url });
  const log = pino({ level: 'silent' });
  await closeWindows(client, { graceMs: 0, lockTimeoutMs: 500, stalledMs: 60_000 });
  const settings = connectionSettings(url, config.database, 'refresher');
  const refresher = new Refresher({
    config: { ...config.windows, stepMinutes: 1_440 },
    engine,
    connect: () => (engine === 'timescale' ? connectRefresher(settings, log) : connect(settings, log)),
    metrics: new WindowMetrics(new Registry()),
    log,
  });
  try {
    while ((await refresher.step()) === 0) interruption.throwIfAborted();
  } finally {
    await refresher.stop();
  }
}

async function sizesOf(client: pg.Client, engine: Engine): Promise<Sizes> {
  const sizes: Sizes = {};
  for (const relation of ['event', ...ROLLUPS, ...PLAIN]) {
    const hyper = engine === 'timescale' && !PLAIN.includes(relation);
    sizes[relation] = await relationBytes(client, relation, hyper);
  }
  return sizes;
}

async function rowsOf(client: pg.Client): Promise<Record<string, number>> {
  const rows: Record<string, number> = {};
  for (const relation of ['event', ...ROLLUPS, ...PLAIN]) {
    rows[relation] = Number((await client.query(`select count(*) as n from ${relation}`)).rows[0].n);
  }
  return rows;
}

async function sumsOf(client: pg.Client): Promise<Record<string, string>> {
  const sums: Record<string, string> = {};
  for (const [relation, calls] of [
    ['event', 'count(*)'],
    ['usage_30s', 'sum(calls)'],
    ['usage_1h', 'sum(calls)'],
    ['usage_1d', 'sum(calls)'],
  ]) {
    const { rows } = await client.query(
      `select ${calls}::text || ' ' || sum(tokens) as sum from ${relation}`,
    );
    sums[relation!] = rows[0].sum;
  }
  return sums;
}

/** Packs the chunks once more in each other order. */
async function otherOrders(client: pg.Client): Promise<StorageReport['alternatives']> {
  const found: StorageReport['alternatives'] = [];
  for (const [relation, orders] of Object.entries(ORDERS)) {
    for (const [segmentby, orderby] of orders) {
      interruption.throwIfAborted();
      // Without the sparse indexes of the order before, which may be of columns that are now ordered by.
      const [kind, more] =
        relation === 'event' ? ['table', `, timescaledb.sparse_index = ''`] : ['materialized view', ''];
      await client.query(`alter ${kind} ${relation} set (timescaledb.enable_columnstore,
        timescaledb.segmentby = '${segmentby}', timescaledb.orderby = '${orderby}'${more})`);
      await client.query(
        'select compress_chunk(chunk::regclass, recompress => true) from retention_chunk where relation = $1',
        [relation],
      );
      const sizes = await sizesOf(client, 'timescale');
      found.push({ relation, order: `${segmentby}; ${orderby}`, bytes: sizes[relation]! });
    }
  }
  return found;
}
