import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { foldWindows } from '../../../src/sums/windows/foldWindows.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { expectExact } from '../../support/compareSummaries.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { startServiceOn, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

/** Columns of the rollups, and how they add up. latency_sum is of whole numbers here, so that its order does not matter. */
const SUMS = `tenant_id, customer_id, event_type, endpoint, model, sum(calls)::bigint, sum(tokens)::bigint,
  sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(value_sum), sum(latency_sum), sum(latency_count)::bigint,
  max(latency_max), sum(latency_le_5)::bigint, sum(latency_le_250)::bigint, sum(latency_le_120000)::bigint,
  min(latency_min), sum(latency_sketch)`;
const COLUMNS = SUMS.replace(/(?:sum|max|min)\((\w+)\)(?:::bigint)?/g, '$1');
/** Rows that hours and days have and the windows do not, or the other way round; and events that no window has. */
const DIFFERENCES = `
  select (select count(*) from event) - (select coalesce(sum(calls), 0) from usage_30s) as windows,
    ${['hour', 'day']
      .map((length) => {
        const name = length === 'hour' ? 'usage_1h' : 'usage_1d';
        const summed = `select date_bin('1 ${length}', bucket, 'epoch'), ${SUMS} from usage_30s group by 1, 2, 3, 4, 5, 6`;
        const read = `select bucket, ${COLUMNS} from ${name}`;
        return `(select count(*) from ((${summed} except all ${read}) union all (${read} except all ${summed})) as d) as ${length}s`;
      })
      .join(',\n    ')}`;
const NONE = { windows: '0', hours: '0', days: '0' };

describe.runIf(inject('engine') === 'postgres')('on postgres', () => {
  describeEngine(`folding (SEED=${seed})`, () => {
    // Without a service: nobody closes or folds but the tests.
    let database: TestDatabase;
    let sql: pg.Pool;
    let closed: number;
    beforeEach(async () => {
      database = await createTestDatabase();
      sql = new pg.Pool({ connectionString: database.url, application_name: 'watching' });
      sql.on('error', () => undefined);
      closed = await closedUntil(sql);
    });
    afterEach(async () => {
      await sql.end();
      await database.drop();
    });

    const connect = async () => {
      const client = new pg.Client({ connectionString: database.url, application_name: 'racing' });
      client.on('error', () => undefined);
      await client.connect();
      onTestFinished(() => client.end());
      return client;
    };
    /** Events by hand: `rows` of a window, each of a customer of its own where there are no more than `customers`. */
    const insert = (db: pg.ClientBase | pg.Pool, windowMs: number, rows = 1, customers = 1_000) =>
      db.query(
        `insert into event (ts, event_id, tenant_id, customer_id, event_type, endpoint, model, tokens, latency_ms)
         select $1::timestamptz + i % 30 * interval '1 second', gen_random_uuid(), $2, 'c' || i % $4, 'x', 'e' || i % 2,
           nullif('m' || i % 3, 'm0'), i, i % 500 from generate_series(1, $3::int) as i`,
        [iso(windowMs), 'somebody', rows, customers],
      );
    const differences = async (db: pg.ClientBase | pg.Pool = sql) => (await db.query(DIFFERENCES)).rows[0];
    const folding = async () => {
      const { rows } = await sql.query(
        `select (select sum(calls)::int from usage_1h_folded) as folded, folded_part as part,
           (extract(epoch from folded_until) * 1000)::float8 as until from usage_fold`,
      );
      return rows[0] as { folded: number | null; part: number; until: number };
    };
    const foldAll = async (client: pg.ClientBase, rows?: number) => {
      while (await foldWindows(client, rows));
    };
    /** Resolves once a session waits for a lock. */
    const waits = (client: pg.Client) =>
      until(async () => {
        const { rows } = await sql.query('select wait_event_type from pg_stat_activity where pid = $1', [
          (client as unknown as { processID: number }).processID,
        ]);
        return rows[0]?.wait_event_type === 'Lock';
      });

    it('leaves every summary as it is, at every granularity, before, while and after, with late events in between', async () => {
      const t: TestService = await startServiceOn(database, {
        ...CLOSED_BY_HAND,
        CLOSER_INTERVAL_MS: '60000',
      });
      onTestFinished(async () => {
        await t.service.close();
        await t.sql.end();
      });
      const tenant = await t.tenant();
      const random = randomFrom(seed);
      const model = new BruteForce();
      const folder = await connect();
      const range = [closed - 2 * HOUR, closed + 2 * HOUR] as const;
      const post = async (from: number, to: number, count: number) => {
        const body: ClientEvent[] = Array.from({ length: count }, () => randomEvent(random, from, to));
        const answer = await t.call('POST', '/v1/events', { key: tenant.key, body });
        expect(answer.status, JSON.stringify(answer.body)).toBe(200);
        model.add(body.map((event) => ({ ...event, tenantId: tenant.id })));
      };
      const ask = (path: string, key: string) => t.call('GET', path, { key });
      const exact = async () => {
        await expectExact(ask, tenant, model, ...range);
        expect((await differences()).windows).toBe('0');
      };
      await post(range[0], range[1], 150);
      await exact();
      await closeUpTo(sql, closed + HOUR);
      await exact();
      await post(closed - HOUR, closed + HOUR, 40); // late: folded at once where that has passed, else later
      const before = await folding();
      expect(await foldWindows(folder, 10)).toBe(true);
      const after = await folding();
      expect(after.until).toBeGreaterThan(before.until);
      expect(after.until).toBeLessThan(closed + HOUR);
      await exact();
      await post(closed - HOUR, closed + HOUR, 40);
      await exact();
      await foldAll(folder, 10);
      expect((await folding()).until).toBe(closed + HOUR);
      await exact();
      await post(closed - HOUR, closed + 2 * HOUR, 40);
      await exact();
    });

    it('makes one row of each hour and key, some of whose windows are folded and some not', async () => {
      for (let n = 0; n < 4; n++) await insert(sql, closed + n * WINDOW, 20, 1);
      await closeUpTo(sql, closed + 2 * WINDOW);
      await foldAll(await connect());
      expect((await folding()).folded).toBe(40);
      const { rows } = await sql.query(
        `select count(*)::int as rows, count(distinct (bucket, customer_id, event_type, endpoint, model))::int as keys,
           sum(calls)::int as calls from usage_1d`,
      );
      expect(rows[0]).toEqual({ rows: rows[0].keys, keys: rows[0].keys, calls: 80 });
      expect(await differences()).toEqual(NONE);
    });

    it('waits for late batches under way, and has what they bring', async () => {
      await insert(sql, closed, 100);
      await closeUpTo(sql, closed + WINDOW);
      const [batch, folder] = [await connect(), await connect()];
      await batch.query('begin');
      await insert(batch, closed, 10);
      const step = foldWindows(folder);
      await waits(folder);
      await batch.query('commit');
      expect(await step).toBe(false);
      expect((await folding()).folded).toBe(110);
      expect(await differences()).toEqual(NONE);
    });

    it('gives way to a late batch that takes long, and folds later', async () => {
      await insert(sql, closed, 100);
      await closeUpTo(sql, closed + WINDOW);
      const [batch, folder] = [await connect(), await connect()];
      await batch.query('begin');
      await insert(batch, closed, 10);
      await expect(foldWindows(folder)).rejects.toMatchObject({ code: '55P03' });
      expect(await differences()).toEqual(NONE);
      await batch.query('commit');
      await foldAll(folder);
      expect(await differences()).toEqual(NONE);
    });

    it('is waited for by late batches, which then add to hours and days themselves, and by no others', async () => {
      await insert(sql, closed, 100);
      await closeUpTo(sql, closed + WINDOW);
      const [batch, folder] = [await connect(), await connect()];
      await folder.query('begin');
      await folder.query('select fold_windows(1000)');
      await insert(sql, closed + WINDOW, 10); // open
      const late = insert(batch, closed, 10);
      await waits(batch);
      expect(await differences()).toEqual(NONE);
      await folder.query('commit');
      await late;
      expect((await folding()).folded).toBe(110);
      expect(await differences()).toEqual(NONE);
    });

    it('leaves nothing where it dies, and another goes on', async () => {
      await insert(sql, closed, 100);
      await closeUpTo(sql, closed + WINDOW);
      const folder = await connect();
      await folder.query('begin');
      await folder.query('select fold_windows(1000)');
      await sql.query('select pg_terminate_backend($1, 10000)', [
        (folder as unknown as { processID: number }).processID,
      ]);
      expect(await folding()).toEqual({ folded: null, part: 0, until: closed });
      expect(await differences()).toEqual(NONE);
      await foldAll(await connect());
      expect((await folding()).folded).toBe(100);
      expect(await differences()).toEqual(NONE);
    });

    it('takes a window of many rows in parts, and late events into what is folded and what is not', async () => {
      const folder = await connect();
      await insert(sql, closed, 1_200);
      await insert(sql, closed + WINDOW, 1_200);
      await closeUpTo(sql, closed + 2 * WINDOW);
      const seen: (readonly [number, number])[] = [];
      let folded = 0;
      for (let more = true; more; ) {
        more = await foldWindows(folder, 300);
        const now = await folding();
        seen.push([(now.until - closed) / WINDOW, now.part]);
        expect(now.folded! - folded).toBeLessThan(600);
        expect(await differences()).toEqual(NONE);
        await insert(sql, closed, 100);
        expect(await differences()).toEqual(NONE);
        await insert(sql, closed + 2 * WINDOW, 10);
        folded = (await folding()).folded!;
      }
      expect(seen.length).toBeGreaterThanOrEqual(8);
      expect(seen.some(([window, part]) => window === 0 && part > 0)).toBe(true);
      expect(seen.at(-1)).toEqual([2, 0]);
    });

    it('comes before anything is removed', async () => {
      await insert(sql, closed, 10);
      await closeUpTo(sql, closed + WINDOW);
      await sql.query(`select cover_activity('1 hour', 100), announce_closed_windows(100)`);
      const settled = async () =>
        (await sql.query('select settled_before($1) as so', [iso(closed + WINDOW)])).rows[0].so;
      expect(await settled()).toBe(false);
      await foldAll(await connect());
      expect(await settled()).toBe(true);
    });

    it('has what comes in transactions of one snapshot, or refuses it', async () => {
      const [batch, folder] = [await connect(), await connect()];
      await batch.query('begin isolation level repeatable read');
      await batch.query('select 1');
      await insert(sql, closed, 10);
      await closeUpTo(sql, closed + WINDOW);
      await insert(batch, closed, 10, 1); // of another customer; takes the window for open
      await expect(foldWindows(folder)).rejects.toMatchObject({ code: '55P03' });
      await batch.query('commit');
      await batch.query('begin isolation level repeatable read');
      await batch.query('select 1');
      await foldAll(folder);
      expect((await folding()).folded).toBe(20);
      await expect(insert(batch, closed - WINDOW)).rejects.toMatchObject({ code: '40001' });
      await batch.query('rollback');
      expect(await differences()).toEqual(NONE);
      await folder.query('begin isolation level repeatable read');
      await expect(folder.query('select fold_windows(10)')).rejects.toMatchObject({ code: '25001' });
      await folder.query('rollback');
    });

    it('does not pass a window that somebody who is no writer has events for', async () => {
      const batch = await connect();
      await batch.query('begin');
      await insert(batch, closed, 10);
      await expect(closeUpTo(sql, closed + WINDOW)).rejects.toMatchObject({ code: '55P03' });
      await batch.query('commit');
      await closeUpTo(sql, closed + WINDOW);
      await foldAll(await connect());
      expect((await folding()).folded).toBe(10);
    });

    it('loses and doubles nothing while writers, closers and two folders race, and sessions die', async () => {
      const random = randomFrom(seed);
      let done = false;
      let frontier = closed;
      let reads = 0;
      const killed = new Set<unknown>();
      const work = async (round: (client: pg.Client) => Promise<unknown>) => {
        let client: pg.Client | null = null;
        while (!done) {
          try {
            client ??= await connect();
            await round(client);
          } catch (error) {
            const { code } = error as { code?: string };
            if (code === '55P03') continue; // gave way
            if (code !== '57P01' && code !== undefined) throw error;
            if (code === undefined && !/connection/i.test(String(error))) throw error;
            killed.add(client);
            client = null;
          }
        }
      };
      const anywhere = () => frontier + Math.floor(random() * 6 - 4) * WINDOW;
      const all = [
        ...[1, 2, 3].map(() =>
          work(async (client) => {
            await client.query('begin');
            await insert(client, anywhere(), 30, 20);
            if (random() < 0.3) await sleep(20 * random());
            await client.query(random() < 0.1 ? 'rollback' : 'commit');
          }),
        ),
        work(async () => {
          await sleep(100 * random());
          const reached = await closeUpTo(sql, frontier + WINDOW).catch(() => null);
          if (reached?.outcome === 'won') frontier += WINDOW;
        }),
        ...[1, 2].map(() =>
          work(async (client) => {
            await sleep(15 * random());
            await foldWindows(client, 20);
          }),
        ),
        work(async (client) => {
          expect(await differences(client)).toEqual(NONE);
          reads++;
        }),
        work(async (client) => {
          await sleep(150 * random());
          await client.query(
            `select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'racing' and random() < 0.2
               and pid <> pg_backend_pid()`,
          );
        }),
      ];
      const failed = Promise.race(all.map((loop) => loop.then(() => undefined)));
      await Promise.race([failed, sleep(8_000)]);
      // A slow machine has had less of a race by then.
      const enough = () => reads > 5 && killed.size > 2 && frontier > closed;
      for (let i = 0; i < 300 && !enough(); i++) await Promise.race([failed, sleep(200)]);
      done = true;
      await Promise.all(all);
      expect([reads > 5, killed.size > 2, frontier > closed]).toEqual([true, true, true]);
      expect(await differences()).toEqual(NONE);
      await foldAll(await connect());
      expect(await differences()).toEqual(NONE);
      expect((await folding()).folded).toBeGreaterThan(0);
    });

    it('happens by itself soon after windows close, and the loop does not do it twice', async () => {
      const own = await startServiceOn(database, { WINDOW_GRACE_MS: '0' });
      try {
        const { key } = await own.tenant();
        await own.call('POST', '/v1/events', { key, body: [anEvent(), anEvent()] });
        await closeUpTo(sql, closed + 2 * WINDOW);
        const folded = async () =>
          (await sql.query('select sum(calls)::int as n from usage_1d_folded')).rows[0].n;
        await until(async () => (await folded()) === 2);
        await sleep(500);
        expect(await folded()).toBe(2);
      } finally {
        await own.service.close();
        await own.sql.end();
      }
    });
  });
});
