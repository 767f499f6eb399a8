import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { UTC } from '../../../src/ground/zones/zoneOffset.ts';
import { findMeter } from '../../../src/sums/meters/catalog/meter.ts';
import { CUSTOMER, type MeterPoint } from '../../../src/sums/meters/reading/meterQuery.ts';
import { queryMeter } from '../../../src/sums/meters/reading/queryMeter.ts';
import { removeOld } from '../../../src/sums/retention/removeOld.ts';
import { coverActivity } from '../../../src/sums/windows/coverActivity.ts';
import { sumLateWindows } from '../../../src/sums/windows/sumLateWindows.ts';
import { CLOSED_BY_HAND } from '../../support/closing.ts';
import { allPages } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const DAYS = 5;
const CUSTOMERS = ['alice', 'bob', 'Zoë', "o'neil"];
const METER = { slug: 'calls', eventType: 'api.request', aggregation: 'count' };
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

interface Late {
  at: number;
  customerId: string;
  revision: number;
}

/** What is asked, and how it is asked for. */
interface Asked {
  from: number;
  to: number;
  customers: string[] | null;
  parameters: URLSearchParams;
}

describeEngine(`revisions over a long time (SEED=${seed})`, () => {
  const random = randomFrom(seed);
  let t: TestService;
  let tenant: { id: string; key: string };
  let client: pg.Client;
  let today: number;
  beforeAll(async () => {
    t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' });
    client = await connect();
    tenant = await t.tenant();
    today = Math.floor(Date.now() / DAY) * DAY;
    const { status } = await t.call('POST', '/v1/meters', { key: tenant.key, body: METER });
    expect(status).toBe(201);
  });
  afterAll(async () => {
    await client?.end();
    await t?.stop();
  });

  async function connect(): Promise<pg.Client> {
    const opened = new pg.Client(t.database.url);
    opened.on('error', () => undefined);
    await opened.connect();
    return opened;
  }

  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)]!;

  /** Batches of late events, each of which changes the windows that it falls into. Many come to few windows. */
  async function beLate(batches: number, key = tenant.key): Promise<void> {
    for (let i = 0; i < batches; i++) {
      const body = Array.from({ length: 40 }, () => {
        const from = today - DAYS * DAY;
        const at =
          random() < 0.5 ? from + random() * DAYS * DAY : from + 2 * DAY + Math.floor(random() * 20) * HOUR;
        return anEvent({ timestamp: iso(at), customerId: pick(CUSTOMERS) });
      });
      expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    }
  }

  const cover = async () => {
    while (await coverActivity(client, 1_440, 40));
  };
  const sum = () => sumLateWindows(client);

  async function lateWindows(db: Pick<pg.Pool, 'query'> = t.sql): Promise<Late[]> {
    const { rows } = await db.query(
      `select extract(epoch from bucket)::float8 * 1000 as at, customer_id as "customerId", revision from late_window where tenant_id = $1`,
      [tenant.id],
    );
    return rows;
  }

  function ask(): Asked {
    const from = today - DAYS * DAY - HOUR;
    const cut = () => {
      const at = from + random() * (DAYS * DAY + 3 * HOUR);
      const [length, off] = pick([
        [DAY, 0],
        [HOUR, 0],
        [HOUR, 1],
        [WINDOW, 0],
        [WINDOW, 12_345],
      ] as const);
      return Math.floor(at / length) * length + off;
    };
    const [a, b] = [cut(), cut()];
    const range = { from: Math.min(a, b), to: Math.max(a, b) + 1_000 };
    const customers = random() < 0.3 ? [pick(CUSTOMERS), pick(CUSTOMERS)] : null;
    const parameters = new URLSearchParams({
      from: iso(range.from),
      to: iso(range.to),
      limit: pick(['7', '1000']),
    });
    const granularity = pick([null, null, '15m', '1h', '1d', '1d', '1mo']);
    if (granularity !== null) parameters.set('granularity', granularity);
    parameters.set('timezone', pick(['UTC', 'UTC', 'Europe/Berlin', 'Asia/Kolkata']));
    if (random() < 0.4) parameters.set('groupBy', 'customer');
    for (const customer of new Set(customers)) parameters.append('customerId', customer);
    return { ...range, customers, parameters };
  }

  /**
   * Each row has the revisions of the windows that it touches, added up one by one.
   *
   * @returns how many rows were revised.
   */
  function expectRevisions(
    rows: Pick<MeterPoint, 'windowStart' | 'windowEnd' | 'customerId' | 'revision'>[],
    late: Late[],
    { from, to, customers }: Pick<Asked, 'from' | 'to' | 'customers'>,
    what: string,
  ): number {
    for (const row of rows) {
      const begins = Math.max(from, Date.parse(row.windowStart));
      const ends = Math.min(to, Date.parse(row.windowEnd));
      const revision = late
        .filter(({ at }) => at > begins - WINDOW && at < ends)
        .filter(({ customerId }) => row.customerId === undefined || row.customerId === customerId)
        .filter(({ customerId }) => customers === null || customers.includes(customerId))
        .reduce((all, window) => all + window.revision, 0);
      expect([row.windowStart, row.revision], what).toEqual([row.windowStart, revision]);
    }
    return rows.filter(({ revision }) => revision > 0).length;
  }

  /** Some answers, while nothing changes. */
  async function compare(questions: number): Promise<void> {
    const late = await lateWindows();
    let revised = 0;
    for (let i = 0; i < questions; i++) {
      const { from, to, customers, parameters } = ask();
      const rows = await allPages(
        (path, key) => t.call('GET', path, { key }),
        `/v1/meters/calls/query?${parameters}`,
        tenant.key,
      );
      revised += expectRevisions(rows, late, { from, to, customers }, String(parameters));
    }
    expect(revised).toBeGreaterThan(questions / 2);
  }

  /** The sums are of what has been covered, over the time that they are said to be of. */
  async function expectSums(): Promise<void> {
    const { rows } = await t.sql.query(
      `with late as (
         select l.* from late_window l, late_window_summed s, retention r
         where r.relation = 'usage_30s' and l.bucket >= greatest(s.summed_from, r.kept_from)
       ), counted as (
         select tenant_id, '' as customer_id, date_bin('1 hour', bucket, 'epoch') as bucket, sum(activity_revision) as revision
         from late group by 1, 2, 3
         union all
         select tenant_id, customer_id, date_bin('1 day', bucket, 'epoch'), sum(activity_revision)
         from late group by 1, 2, 3
       ), summed as (
         select s.* from late_window_sum s, retention r where r.relation = 'usage_30s' and s.bucket >= r.kept_from
       )
       select c, s from counted c full join summed s using (tenant_id, customer_id, bucket)
       where coalesce(c.revision, 0) <> coalesce(s.revision, 0)`,
    );
    expect(rows).toEqual([]);
  }

  it('are those of each window, whether it is covered or not', async () => {
    await compareNothing();
    await beLate(4);
    await compare(20);
    await cover();
    await expectSums();
    await compare(40);
    await beLate(2);
    await compare(40);
    await cover();
    await expectSums();
    await beLate(1);
    await compare(20);
  });

  /** There is nothing late yet, and nothing to sum up. */
  async function compareNothing(): Promise<void> {
    expect(await lateWindows()).toEqual([]);
    expect(await sum()).toBe(false);
  }

  it('come from the sums where whole hours and days are asked for, and from nowhere else', async () => {
    await cover();
    const day = today - 3 * DAY;
    const read = async (from: number, to: number, more = ''): Promise<number[]> => {
      const path = `/v1/meters/calls/query?from=${iso(from)}&to=${iso(to)}${more}`;
      return (await t.call('GET', path, { key: tenant.key })).body.data.map(({ revision }: Late) => revision);
    };
    const asked = (cut: number) =>
      Promise.all([
        read(day + cut, day + 3 * HOUR),
        read(day + cut, day + DAY, '&granularity=1d&timezone=Europe/Berlin'),
        read(day + cut, day + DAY, '&granularity=1d&groupBy=customer'),
        read(day + cut, day + DAY, '&customerId=alice'),
        read(day + cut, day + DAY, '&granularity=15m&limit=1'),
      ]);
    const before = [await asked(0), await asked(1)];
    await t.sql.query(
      `update late_window_sum set revision = revision + 1000000 where tenant_id = $1 and bucket >= $2 and bucket < $3
         and (customer_id <> '' or bucket = $2)`,
      [tenant.id, iso(day), iso(day + DAY)],
    );
    const [whole, cut] = [await asked(0), await asked(1)];
    await t.sql.query('update late_window_sum set revision = revision % 1000000');
    await expectSums();
    const more = (answers: number[][], by: number) => answers.map((rows) => rows.map((n) => n + by));
    expect(whole.slice(0, 1)).toEqual(more(before[0]!.slice(0, 1), 1_000_000));
    expect(whole[1]!.reduce((a, b) => a + b)).toBe(
      before[0]![1]!.reduce((a: number, b: number) => a + b) + 1_000_000,
    );
    expect(whole.slice(2, 4)).toEqual(more(before[0]!.slice(2, 4), 1_000_000));
    expect(whole[4]).toEqual(before[0]![4]);
    expect(cut).toEqual(before[1]);
  });

  it('are added up of what there was before the sums, a day after the other, while more comes', async () => {
    const other = await t.tenant();
    await beLate(1, other.key);
    await cover();
    await t.sql.query(`update late_window_summed set summed_from = 'infinity'`);
    await t.sql.query('delete from late_window_sum');
    await compare(15);
    await beLate(1);
    await cover();
    expect((await t.sql.query('select from late_window_sum')).rowCount).toBe(0);
    let steps = 0;
    for (let more: boolean | null = true; more; steps++) {
      more = await sum();
      expect(more).not.toBeNull();
      await expectSums();
      await beLate(1);
      await compare(8);
      await cover();
      await expectSums();
      await compare(8);
    }
    expect(steps).toBe(DAYS + 1);
    expect(await sum()).toBe(false);
    const { rows } = await t.sql.query(
      `select count(distinct tenant_id)::int as tenants from late_window_sum`,
    );
    expect(rows).toEqual([{ tenants: 2 }]);
  });

  it('are not added up twice, nor forgotten, by two that began at the same moment', async () => {
    const older = await connect();
    const begin = () => older.query('begin isolation level repeatable read; select from window_coverage');
    const refused = { code: '40001' };
    try {
      await beLate(1);
      await t.sql.query(`update late_window_summed set summed_from = 'infinity'`);
      await t.sql.query('delete from late_window_sum');
      await begin();
      expect(await sum()).toBe(true);
      await expect(older.query(`select * from cover_activity('1 day', 1000)`)).rejects.toMatchObject(refused);
      await older.query('rollback');
      await begin();
      await cover();
      await expect(older.query('select sum_late_windows()')).rejects.toMatchObject(refused);
      await older.query('rollback');
      await begin();
      expect(await sum()).toBe(true);
      await expect(older.query('select sum_late_windows()')).rejects.toMatchObject(refused);
      await older.query('rollback');
      await older.query(`begin; select pg_advisory_xact_lock(hashtext('tidemark.activity'))`);
      expect(await sum()).toBeNull();
      await older.query('rollback');
      while (await sum());
      await expectSums();
      await compare(10);
    } finally {
      await older.end();
    }
  });

  it('are of one moment, while late events, two that cover, adding up and retention go on, and one is killed', async () => {
    const kept = iso(today - (DAYS - 1) * DAY);
    const meter = await findMeter(client, tenant.id, METER.slug);
    const reader = await connect();
    let isOver = false;
    const again = async (work: (db: pg.Client) => Promise<unknown>): Promise<number> => {
      let ended = 0;
      while (!isOver) {
        const db = await connect();
        try {
          while (!isOver) {
            await work(db);
            await sleep(1);
          }
        } catch (error) {
          // What is killed begins anew; the others have nothing to fail of.
          if (!['57P01', undefined].includes((error as { code?: string }).code)) throw error;
          ended++;
        } finally {
          await db.end().catch(() => undefined);
        }
      }
      return ended;
    };
    const remove = (db: pg.Client) => removeOld(db, t.database.engine, 'usage_30s');
    await t.sql.query(`update late_window_summed set summed_from = 'infinity'`);
    await t.sql.query('delete from late_window_sum');
    await beLate(4);

    let wereKilled = 0;
    const covering = [
      again((db) => coverActivity(db, 1_440, 20)),
      again((db) => coverActivity(db, 1_440, 60)),
    ];
    const others = [
      again(sumLateWindows),
      again(async (db) => {
        const { rowCount } = await db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and state = 'active' and query like '%from cover_activity(%' and pid <> pg_backend_pid()`,
        );
        wereKilled += rowCount ?? 0;
        await sleep(random() * 100);
      }),
    ];
    let revised = 0;
    try {
      for (let round = 0; round < 12; round++) {
        await beLate(1);
        if (round === 6) {
          await t.sql.query(
            `update retention set kept_from = $1, moved_at = now() where relation = 'usage_30s'`,
            [kept],
          );
          others.push(again(remove));
        }
        for (let i = 0; i < 6; i++) {
          const { from, to, customers } = ask();
          await reader.query('begin isolation level repeatable read, read only');
          await reader.query(`select set_config('tidemark.tenant_id', $1, true)`, [tenant.id]);
          const { data } = await queryMeter(reader, tenantContext(tenant.id), meter, {
            ...{ fromMicros: from * 1_000, toMicros: to * 1_000, granularity: pick([null, '1h', '1d']) },
            ...{
              offsets: UTC,
              groupBy: random() < 0.4 ? [CUSTOMER] : [],
              customers,
              filters: {},
              limit: 1_000,
            },
          });
          const late = await lateWindows(reader);
          await reader.query('commit');
          revised += expectRevisions(data, late, { from, to, customers }, `round ${round}`);
        }
      }
    } finally {
      isOver = true;
      await Promise.all([...covering, ...others]);
      await reader.end();
    }
    expect(revised).toBeGreaterThan(0);
    expect(wereKilled).toBeGreaterThan(0);
    await cover();
    while (await sum());
    await expectSums();
    await compare(20);
  });

  it('are forgotten with the windows, which go bit by bit', async () => {
    const kept = today - 2 * DAY;
    await t.sql.query(`update retention set kept_from = $1, moved_at = now() where relation = 'usage_30s'`, [
      iso(kept),
    ]);
    await t.sql.query(
      `delete from late_window where ctid in (
         select ctid from late_window where tenant_id = $1 and bucket < $2 order by random() limit 50)`,
      [tenant.id, iso(kept)],
    );
    await compare(30);
    await t.sql.query(`delete from late_window where bucket < $1`, [iso(kept)]);
    await compare(30);
  });
});
