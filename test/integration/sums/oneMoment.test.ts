import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TenantContext, tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { connectionSettings, createTenantReads } from '../../../src/ground/db/connections.ts';
import type { Queryable } from '../../../src/ground/db/queryable.ts';
import type { TenantReads } from '../../../src/ground/db/tenantReads.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { UTC } from '../../../src/ground/zones/zoneOffset.ts';
import { ExportCounts } from '../../../src/outbound/exporting/exportCounts.ts';
import { exportEvents } from '../../../src/outbound/exporting/exportEvents.ts';
import { exportUsage } from '../../../src/outbound/exporting/exportUsage.ts';
import { beginSnapshot } from '../../../src/outbound/exporting/snapshot.ts';
import { listEvents } from '../../../src/sums/listing/listEvents.ts';
import { activitySummaries } from '../../../src/sums/rollups/activitySummaries.ts';
import { listClosedWindows } from '../../../src/sums/rollups/listClosedWindows.ts';
import { listWindows } from '../../../src/sums/rollups/listWindows.ts';
import { usageSeries } from '../../../src/sums/rollups/usageSeries.ts';
import { windowTotals } from '../../../src/sums/rollups/windowTotals.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { insisting } from '../../support/insisting.ts';
import { READS } from '../../support/reads.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const iso = (ms: number) => new Date(ms).toISOString();
const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
const at = (ms: number): ClientEvent =>
  anEvent({ timestamp: iso(ms), eventType: 'positive', reference: 'order-1', value: '1' });

let t: TestService;
let reads: TenantReads;

const post = async (key: string, ...moments: number[]) => {
  const { status, body } = await t.call('POST', '/v1/events', { key, body: moments.map(at) });
  expect(status, JSON.stringify(body)).toBe(200);
};
const start = async () => {
  t = await startTestService(CLOSED_BY_HAND);
  const settings = connectionSettings(t.database.url, t.config.database, 'read');
  reads = createTenantReads(settings, t.database.engine, 1, createLogger(t.config));
};
const stop = async () => {
  await reads.end();
  await t.stop();
};

/** A read of several statements, where two events of a batch would be seen by different ones of them. */
interface Case {
  read(db: Queryable, context: TenantContext, now: number): Promise<number>;
  /** Where, before now, in ms. */
  batch: [number, number];
  /** After so many statements. */
  after: number;
}

const CASES: Record<string, Case> = {
  events: {
    async read(db, context, now) {
      const { data } = await listEvents(db, context, { from: now - 3 * DAY, to: now + 1, limit: 100 });
      return data.length;
    },
    batch: [0, DAY],
    after: 2,
  },
  windows: {
    async read(db, context, now) {
      const { data } = await listWindows(db, context, { from: now - 3 * DAY, to: now + 1, limit: 100 });
      return sum(data.map((window) => window.aggregations.totalCalls));
    },
    batch: [3 * DAY - WINDOW, WINDOW],
    after: 1,
  },
  usage: {
    async read(db, context, now) {
      const query = { from: now - 2 * DAY, to: now + 1, granularity: '1h' as const, offsets: UTC };
      const { data } = await usageSeries(db, context, { ...query, groupBy: [], limit: 100 });
      return sum(data.map(({ calls }) => calls));
    },
    batch: [0, HOUR],
    after: 1,
  },
  summaries: {
    async read(db, context, now) {
      const query = { from: now - DAY - HOUR / 2, to: now + 1, limit: 1_000 };
      const { data } = await activitySummaries(db, context, '1h', query);
      return sum(data.map(({ totalEvents }) => totalEvents));
    },
    batch: [DAY + HOUR / 2 - WINDOW, 0],
    after: 3,
  },
  live: {
    async read(db, context, now) {
      const latest = Math.floor(now / WINDOW) * WINDOW;
      const totals = await windowTotals(db, context, undefined, [latest - WINDOW, latest]);
      return sum(totals.map(({ calls }) => calls));
    },
    batch: [0, WINDOW],
    after: 1,
  },
};

describeEngine('an answer of several statements', () => {
  beforeAll(start);
  afterAll(stop);

  it.each(Object.entries(CASES))('is of one moment: %s', async (_, { read, batch, after }) => {
    const { id, key } = await t.tenant();
    const now = Date.now();
    const moments = batch.map((ago) => now - ago);
    await post(key, ...moments, ...moments);
    let statements = 0;
    const seen = await reads.inOneMoment(tenantContext(id), (db) => {
      const query = async (...args: Parameters<Queryable['query']>) => {
        const result = await db.query(...args);
        if (++statements === after) await post(key, ...moments);
        return result;
      };
      return read({ query: query as unknown as Queryable['query'] }, tenantContext(id), now);
    });
    expect(statements).toBeGreaterThanOrEqual(after);
    expect(seen).toBe(4);
    expect(await reads.inOneMoment(tenantContext(id), (db) => read(db, tenantContext(id), now))).toBe(6);
  });

  it('is of one moment: what has closed since', async () => {
    const { id, key } = await t.tenant();
    const begun = await closedUntil(t.sql);
    await post(key, begun + 1, begun + WINDOW + 1);
    await closeUpTo(t.sql, begun + WINDOW);
    const { rows } = await t.sql.query('select settled_at from window_state');
    const query = { closedAfter: rows[0].settled_at.getTime(), from: undefined, to: begun + DAY, limit: 100 };
    await closeUpTo(t.sql, begun + 2 * WINDOW);
    let statements = 0;
    const poll = (between: () => Promise<void>) =>
      reads.inOneMoment(tenantContext(id), async (db) => {
        const counted = async (...args: Parameters<Queryable['query']>) => {
          const result = await db.query(...args);
          await between();
          return result;
        };
        const hooked = { query: counted as unknown as Queryable['query'] };
        return listClosedWindows(hooked, tenantContext(id), { ...query, state: 'closed' });
      });
    const page = await poll(async () => {
      if (++statements === 1) await post(key, begun + 1, begun + WINDOW + 1);
    });
    expect(statements).toBeGreaterThan(2);
    const shown = ({ data }: typeof page) =>
      data.map((window) => [window.windowStart, window.revision, window.aggregations.totalCalls]);
    expect(shown(page)).toEqual([[iso(begun + WINDOW), 0, 1]]);
    await closeUpTo(t.sql, begun + 3 * WINDOW);
    expect(shown(await poll(async () => undefined))).toEqual([
      [iso(begun), 1, 2],
      [iso(begun + WINDOW), 1, 2],
    ]);
  });

  it('is begun anew, wholly, where its connection goes away between two of them', async () => {
    const { id, key } = await t.tenant();
    await post(key, Date.now());
    const pids: number[] = [];
    const count = await reads.inOneMoment(tenantContext(id), async (db) => {
      const { rows } = await db.query('select pg_backend_pid() as pid');
      pids.push(rows[0].pid);
      if (pids.length === 1) {
        await t.sql.query('select pg_terminate_backend($1)', [rows[0].pid]);
        await until(async () => {
          const left = await t.sql.query('select from pg_stat_activity where pid = $1', [rows[0].pid]);
          return left.rows.length === 0;
        });
      }
      return (await db.query('select count(*)::int as n from tenant_data.event')).rows[0].n;
    });
    expect(count).toBe(1);
    expect(new Set(pids).size).toBe(2);
  });

  it('is begun anew, wholly, where it and what drops chunks wait for each other', async () => {
    const { id, key } = await t.tenant();
    await post(key, Date.now());
    const dropper = new pg.Client(t.database.url);
    await dropper.connect();
    const lockEvents = 'lock table event in access exclusive mode; commit';
    let dropped: Promise<unknown> | undefined;
    let begun = 0;
    try {
      await dropper.query("set deadlock_timeout = '1min'"); // whoever looks first is the victim: the read
      const count = await reads.inOneMoment(tenantContext(id), async (db) => {
        begun++;
        const { rows } = await db.query('select count(*)::int as n from tenant_data.event');
        if (begun === 1) {
          await dropper.query('begin; lock table customer in access exclusive mode');
          dropped = dropper.query(lockEvents);
        }
        await db.query('select count(*) from tenant_data.customer');
        return rows[0].n;
      });
      expect([count, begun]).toEqual([1, 2]);
      await dropped;
    } finally {
      await dropper.end();
    }
  });

  it('leaves its connection without a transaction or a tenant, also when it fails', async () => {
    const { id } = await t.tenant();
    const failing = reads.inOneMoment(tenantContext(id), async (db) => {
      await db.query('select 1 as n');
      await db.query('select 1 / 0');
    });
    await expect(failing).rejects.toMatchObject({ code: '22012' });
    const thrown = reads.inOneMoment(tenantContext(id), async (db) => {
      await db.query('select 1 as n');
      throw new Error('of the work itself');
    });
    await expect(thrown).rejects.toThrow('of the work itself');
    await reads.inOneMoment(tenantContext(id), (db) => db.query('select 1 as n'));
    await until(async () => {
      const { rows } = await t.sql.query(
        `select state from pg_stat_activity
         where datname = current_database() and application_name = 'tidemark read' and state <> 'idle'`,
      );
      return rows.length === 0;
    });
    const other = await t.tenant();
    const { rows } = await reads
      .as(tenantContext(other.id))
      .query(
        `select tenant_data.current_tenant() as tenant, current_setting('transaction_isolation') as isolation`,
      );
    expect(rows).toEqual([{ tenant: other.id, isolation: 'read committed' }]);
  });
});

/*
 * What is packed, rewritten or refreshed between the snapshot of a read and its plan: a plan of columns alone, which the
 * snapshot does not show, or of a chunk that has been emptied. The read is repeated then.
 */
describeEngine('what changes its place while a read begins', () => {
  beforeAll(start);
  afterAll(stop);

  const CHUNKS = `select show_chunks(relation::regclass)::text as chunk
                  from unnest(array['event', 'usage_30s', 'usage_1h']) as relation`;

  const CHANGES: Record<string, (client: pg.Client) => Promise<void>> = {
    packed: async (client) => {
      const { rows } = await client.query(CHUNKS);
      for (const { chunk } of rows)
        await insisting(() => client.query('select compress_chunk($1::regclass)', [chunk]));
    },
    'packed again': async (client) => {
      const { rows } = await client.query(CHUNKS);
      for (const { chunk } of rows) {
        await insisting(() =>
          client.query(`call convert_to_columnstore(${pg.escapeLiteral(chunk)}, recompress => true)`),
        );
      }
    },
    'packed by a subtransaction': async (client) => {
      const { rows } = await client.query(CHUNKS);
      await insisting(async () => {
        try {
          await client.query('begin');
          for (const { chunk } of rows) {
            await client.query('savepoint one');
            await client.query('select compress_chunk($1::regclass)', [chunk]);
            await client.query('release savepoint one');
          }
          await client.query('commit');
        } catch (error) {
          await client.query('rollback');
          throw error;
        }
      });
    },
    unpacked: async (client) => {
      const { rows } = await client.query(CHUNKS);
      for (const { chunk } of rows)
        await insisting(() => client.query('select decompress_chunk($1::regclass)', [chunk]));
    },
    // Never beyond what is closed: that would hide what comes later.
    refreshed: async (client) => {
      const { rows } = await client.query(
        `select rollup, until::text from window_state, lateral (values ('usage_30s', closed_until), ('usage_1h', refreshed_1h),
           ('usage_1d', refreshed_1d), ('reference_1d', refreshed_1d)) as level (rollup, until)`,
      );
      for (const { rollup, until } of rows) {
        await insisting(() =>
          client.query(
            `call refresh_continuous_aggregate('${rollup}', now() - interval '3 days', '${until}', force => true,
               options => '{"buckets_per_batch": 0}')`,
          ),
        );
      }
    },
  };

  describe.each(Object.keys(READS))('%s', (name) => {
    const changes = name === 'windows' ? Object.keys(CHANGES) : ['packed', 'refreshed'];
    it.each(changes)('when it is %s', async (change) => {
      if (t.database.engine !== 'timescale') return;
      const { path, shown } = READS[name]!;
      const { key } = await t.tenant();
      const now = Date.now();
      const moments = [now, now - HOUR, now - 2 * DAY];
      await post(key, ...moments);
      const mover = new pg.Client(t.database.url);
      const gate = new pg.Client(t.database.url);
      await Promise.all([mover.connect(), gate.connect()]);
      try {
        await mover.query('set client_min_messages = error');
        if (change !== 'packed') await CHANGES.packed!(mover);
        if (change === 'packed again') await post(key, ...moments);
        else if (change === 'packed') await CHANGES.unpacked!(mover);
        else if (change === 'packed by a subtransaction') await CHANGES.unpacked!(mover);
        const stored = change === 'packed again' ? 6 : 3;
        // Not held up before its snapshot is taken, nor after it has planned.
        await gate.query('begin; lock table late_window, retention in access exclusive mode');
        const read = t.call('GET', path(iso(now - 3 * DAY), iso(now + 1)), { key });
        await until(async () => {
          const { rows } = await t.sql.query(
            `select from pg_stat_activity where datname = current_database()
               and application_name = 'tidemark read' and wait_event_type = 'Lock'`,
          );
          return rows.length > 0;
        });
        await CHANGES[change]!(mover);
        await gate.query('commit');
        const { status, body } = await read;
        expect(status, JSON.stringify(body)).toBe(200);
        const again = await t.call('GET', path(iso(now - 3 * DAY), iso(now + 1)), { key });
        expect([shown(body), shown(again.body)]).toEqual([stored, stored]);
      } finally {
        await Promise.all([mover.end(), gate.end()]);
      }
    });
  });

  it.each(['windows', 'events', 'usage per hour'])(
    'of a batch that comes meanwhile, and is packed in part: %s',
    async (name) => {
      if (t.database.engine !== 'timescale') return;
      const { path, shown } = READS[name]!;
      const { key } = await t.tenant();
      const now = Date.now();
      const next = now + 20 * HOUR;
      await post(key, now);
      const mover = new pg.Client(t.database.url);
      const gate = new pg.Client(t.database.url);
      await Promise.all([mover.connect(), gate.connect()]);
      try {
        await mover.query('set client_min_messages = error');
        await CHANGES.unpacked!(mover);
        await gate.query('begin; lock table late_window, retention in access exclusive mode');
        const read = t.call('GET', path(iso(now - HOUR), iso(next + HOUR)), { key });
        await until(async () => {
          const { rows } = await t.sql.query(
            `select from pg_stat_activity where datname = current_database()
               and application_name = 'tidemark read' and wait_event_type = 'Lock'`,
          );
          return rows.length > 0;
        });
        await post(key, now, next);
        // Rows of a chunk that is packed for the first time are frozen: whatever the snapshot, they are seen.
        await insisting(() =>
          mover.query(
            `select compress_chunk(c) from show_chunks('event', older_than => $1::timestamptz, newer_than => $2::timestamptz) c`,
            [iso((Math.floor(now / DAY) + 1) * DAY), iso(Math.floor(now / DAY) * DAY)],
          ),
        );
        await gate.query('commit');
        const { status, body } = await read;
        expect(status, JSON.stringify(body)).toBe(200);
        expect([1, 3]).toContain(shown(body));
      } finally {
        await Promise.all([mover.end(), gate.end()]);
      }
    },
  );

  it.each(['events', 'usage'])('an export has it, where its chunk is new: %s', async (what) => {
    if (t.database.engine !== 'timescale') return;
    const { id, key } = await t.tenant();
    const ms = Date.now() - (what === 'events' ? 9 : 8) * DAY;
    const client = new pg.Client(t.database.url);
    await client.connect();
    try {
      // The chunk comes after the export has locked all there are, and before its snapshot.
      const query = async (...args: Parameters<Queryable['query']>) => {
        const result = await client.query(...args);
        if (/^lock table/.test(String(args[0]))) await post(key, ms, ms);
        return result;
      };
      await beginSnapshot({ query } as unknown as pg.Client, tenantContext(id));
      const { rows } = await t.sql.query(
        `select chunk from retention_chunk where relation = 'event' and $1 >= range_start and $1 < range_end`,
        [new Date(ms)],
      );
      for (const { chunk } of rows) await t.sql.query('select compress_chunk($1::regclass)', [chunk]);
      const counts = new ExportCounts();
      const range = { from: ms - 1_000, to: ms + 1_000 };
      const lines =
        what === 'events'
          ? exportEvents(client, tenantContext(id), range, 'ndjson', counts)
          : exportUsage(
              client,
              tenantContext(id),
              { ...range, granularity: '1h', offsets: UTC, groupBy: [] },
              'ndjson',
              counts,
            );
      const pieces: string[] = [];
      for await (const piece of lines) pieces.push(piece);
      const rowsOut = pieces
        .join('')
        .trim()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));
      expect(what === 'events' ? rowsOut.length : sum(rowsOut.map(({ calls }) => calls))).toBe(2);
    } finally {
      await client.end();
    }
  });
});
