import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { columnstoreWrites } from '../../../src/ground/db/columnstore.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { makeChunks } from '../../support/chunks.ts';
import { expectExact } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { importInto } from '../../support/importing.ts';
import { insisting } from '../../support/insisting.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const DAY = 86_400_000;
const FROM_ROWS = 10;
const SETTINGS = { INGEST_COLUMNS_FROM_ROWS: String(FROM_ROWS) };
const iso = (ms: number) => new Date(ms).toISOString();
const today = () => Math.floor(Date.now() / DAY) * DAY;
const some = (count: number, ms: number, customers = 7): ClientEvent[] =>
  Array.from({ length: count }, (_, i) =>
    anEvent({ timestamp: iso(ms + ((i * 7_919) % count)), customerId: `customer-${i % customers}` }),
  );

/** Events per segment of the columnstore, and those in rows, of each chunk of `event`, in order of time. */
async function stored(t: TestService): Promise<{ segments: number[]; rows: number; state: number }[]> {
  const { rows: chunks } = await t.sql.query<{ chunk: string; state: number; segments: string | null }>(
    `select c.chunk, c.state, s.compress_relid::text as segments from retention_chunk c
     left join _timescaledb_catalog.compression_settings s on s.relid = c.chunk::regclass
     where c.relation = 'event' order by c.range_start`,
  );
  const all = await Promise.all(
    chunks.map(async ({ chunk, state, segments }) => {
      const counts = segments
        ? (await t.sql.query(`select _ts_meta_count as n from ${segments} order by n`)).rows.map(({ n }) => n)
        : [];
      const { rows } = await t.sql.query(`select count(*)::int as n from ${chunk}`);
      return { state, segments: counts, rows: rows[0].n - counts.reduce((a, b) => a + b, 0) };
    }),
  );
  return all.filter(({ segments, rows }) => segments.length > 0 || rows > 0);
}

/** Events by the way that they were written, of this instance. */
async function counted(t: TestService): Promise<{ columns: number; rows: number; able: number }> {
  const { body } = await t.call('GET', '/metrics');
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(body)?.[1] ?? 0);
  return {
    columns: value('tidemark_ingest_event_rows_total\\{path="columns"\\}'),
    rows: value('tidemark_ingest_event_rows_total\\{path="rows"\\}'),
    able: value('tidemark_ingest_columns_able'),
  };
}

describeEngine('batches', () => {
  let t: TestService;
  let id: string;
  let key: string;
  beforeEach(async (context) => {
    t = await startTestService(SETTINGS);
    ({ id, key } = await t.tenant());
    context.skip(t.database.engine !== 'timescale', 'the columnstore is TimescaleDB');
    await makeChunks(t.sql, ...[0, 1, 2, 3, 21].map((days) => today() - days * DAY));
  });
  afterEach(() => t.stop());

  const post = async (events: ClientEvent[], status = 200) => {
    const answer = await t.call('POST', '/v1/events', { key, body: events });
    expect(answer.status, JSON.stringify(answer.body)).toBe(status);
    return answer.body;
  };

  it('go into columns and rows in one transaction, by what a tenant has on a day', async () => {
    const events = [
      ...some(40, today() - DAY),
      ...some(FROM_ROWS - 1, today()),
      ...some(12, today() - 2 * DAY),
    ];
    expect(await post(events)).toEqual({ accepted: 61, duplicates: 0 });
    expect(await stored(t)).toEqual([
      { state: 3, segments: [12], rows: 0 },
      { state: 3, segments: [40], rows: 0 },
      { state: 0, segments: [], rows: FROM_ROWS - 1 },
    ]);
    expect(await counted(t)).toEqual({ columns: 52, rows: FROM_ROWS - 1, able: 1 });
    const { rows } = await t.sql.query('select count(distinct xmin::text)::int as n from event_key');
    expect(rows[0].n).toBe(1);
  });

  it('of a day without a chunk go into rows, and those after it into columns', async () => {
    const day = today() - 5 * DAY;
    await post(some(40, day));
    expect(await counted(t)).toMatchObject({ columns: 0, rows: 40 });
    await sleep(110);
    await post([...some(30, day), ...some(30, today())]);
    expect(await counted(t)).toMatchObject({ columns: 60, rows: 40 });
  });

  it.each(['commits', 'is undone'])(
    'lose nothing while rows of somebody else make their chunk, which %s',
    async (end) => {
      const day = today() - 5 * DAY;
      const other = new pg.Client(t.database.url);
      await other.connect();
      try {
        await other.query('begin');
        await other.query(
          `insert into event (tenant_id, customer_id, event_id, ts, event_type)
           values ('other', 'c', gen_random_uuid(), $1, 'none')`,
          [iso(day)],
        );
        const posted = post(some(60, day));
        await sleep(200);
        await other.query(end === 'commits' ? 'commit' : 'rollback');
        await posted;
      } finally {
        await other.end();
      }
      const { rows } = await t.sql.query('select count(*)::int as n from event');
      expect(rows[0].n).toBe(end === 'commits' ? 61 : 60);
    },
  );

  it('go into rows where their chunk has been dropped since it was known', async () => {
    await post(some(40, today() - DAY));
    expect(await counted(t)).toMatchObject({ columns: 40, rows: 0 });
    await insisting(() =>
      t.sql.query(`select drop_chunks('event', older_than => $1::timestamptz)`, [iso(today())]),
    );
    await post(some(50, today() - DAY));
    expect(await counted(t)).toMatchObject({ columns: 40, rows: 50 });
    expect(await stored(t)).toMatchObject([{ segments: [], rows: 50 }]);
  });

  it('of few events go into rows, whoever they are of', async () => {
    await post(some(2 * FROM_ROWS - 1, today()));
    expect(await counted(t)).toEqual({ columns: 0, rows: 2 * FROM_ROWS - 1, able: 1 });
    expect(await stored(t)).toMatchObject([{ state: 0 }]);
  });

  it('of a tenant with more than a segment takes have its customers apart, each segment in order of time', async () => {
    await post(some(5_000, today(), 100));
    const [chunk] = await stored(t);
    expect(chunk!.rows).toBe(0);
    expect(chunk!.segments.length).toBe(6);
    const { rows: names } = await t.sql.query(
      `select compress_relid::text as name from _timescaledb_catalog.compression_settings s
       join retention_chunk c on c.chunk::regclass = s.relid where c.relation = 'event'`,
    );
    const { rows } = await t.sql.query(
      `select count(*)::int as n from ${names[0].name} s, generate_series(0, 99) as customer
       where _timescaledb_functions.bloom1_contains(s._ts_meta_v2_bloomh_customer_id, 'customer-' || customer)`,
    );
    // Each customer is in one of the six; some are taken for being in another.
    expect(rows[0].n).toBeGreaterThanOrEqual(100);
    expect(rows[0].n).toBeLessThan(150);
    const unordered = await t.sql.query(
      `select from ${names[0].name} s
       where _ts_meta_min_1 <> _ts_meta_v2_first_ts or _ts_meta_max_1 <> _ts_meta_v2_last_ts`,
    );
    expect(unordered.rows).toEqual([]);
  });

  it('take duplicates, wholly and in part', async () => {
    const events = some(40, today());
    await post(events);
    const more = some(30, today());
    expect(await post([...events, ...more])).toEqual({ accepted: 30, duplicates: 40 });
    expect(await post([...events, ...more])).toEqual({ accepted: 0, duplicates: 70 });
    expect(await stored(t)).toMatchObject([{ segments: [30, 40], rows: 0 }]);
    expect((await counted(t)).columns).toBe(70);
  });

  it('with an event that the database refuses leave nothing, and the others are stored without it', async () => {
    await t.sql.query(`alter table event add constraint no_mallory check (customer_id <> 'mallory')`);
    const bad = [...some(40, today()), anEvent({ customerId: 'mallory' }), ...some(3, today() - DAY)];
    const requests = [some(40, today()), bad, some(40, today())];
    const answers = await Promise.all(requests.map((body) => t.call('POST', '/v1/events', { key, body })));
    expect(answers.map(({ status }) => status)).toEqual([200, 422, 200]);
    expect(answers[1]!.body).toMatchObject({ code: 'event_rejected_by_database' });
    const { rows } = await t.sql.query(
      `select (select count(*)::int from event) as events, (select count(*)::int from counted_key) as ids`,
    );
    expect(rows).toEqual([{ events: 80, ids: 80 }]);
    const skipped = await t.call('POST', '/v1/events?onInvalid=skip', { key, body: bad });
    expect(skipped).toMatchObject({ status: 200, body: { accepted: 43, rejected: 1 } });
  });

  it('that are late show in the next read, and in the rollups, beside columns, rows and nothing', async () => {
    const model = new BruteForce();
    const random = randomFrom(36);
    const ask = (path: string, key: string) => t.call('GET', path, { key });
    const from = today() - 3 * DAY;
    for (const [count, day] of [
      [60, 0],
      [4, 0],
      [4, 1],
      [60, 1],
      [30, 2],
      [2, 2],
      [60, 0],
    ] as const) {
      const events = Array.from({ length: count }, () =>
        randomEvent(random, from + day * DAY, from + (day + 1) * DAY),
      );
      await post(events);
      model.add(events);
      await expectExact(ask, { id, key }, model, from, from + 3 * DAY);
    }
    await expectRefreshed(t);
    await expectExact(ask, { id, key }, model, from, from + 3 * DAY);
    const { rows } = await t.sql.query('select sum(calls)::int as n from usage_30s');
    expect(rows[0].n).toBe(model.events.size);
  });

  it('that are older than what is packed go into rows, unless they are imported', async () => {
    const old = today() - 20 * DAY;
    await post(some(40, old));
    expect(await counted(t)).toMatchObject({ columns: 0, rows: 40 });
    const folder = await mkdtemp(join(await runFolder(), 'columns-'));
    const path = join(folder, 'old.ndjson');
    const lines = [...some(100, old - DAY), ...some(3, old - 2 * DAY)].map((event) => JSON.stringify(event));
    await writeFile(path, `${lines.join('\n')}\n`);
    const imported = await importInto({ url: t.database.url, path, tenantId: 'importing' });
    expect(imported.counts).toMatchObject({ stored: 103 });
    const state = await stored(t);
    expect(state.map(({ segments, rows }) => [segments, rows])).toEqual([
      [[], 3],
      [[100], 0],
      [[], 40],
    ]);
  });
});

/** What makes TimescaleDB write rows, and says so or not. */
const OBSTACLES: [string, plant: string, undo: string, why: RegExp][] = [
  [
    'a trigger',
    `create function note() returns trigger language plpgsql as 'begin return new; end';
     create trigger mine before insert on event for each row execute function note()`,
    'drop trigger mine on event',
    /trigger/,
  ],
  [
    'a unique index',
    'create unique index mine on event (tenant_id, event_id, ts)',
    'drop index mine',
    /unique/,
  ],
];

describeEngine('a server that writes rows in place of columns', () => {
  let t: TestService;
  let key: string;
  let lines: { level: number; why?: string }[];
  beforeEach(async (context) => {
    lines = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    t = await startTestService(SETTINGS, { log });
    ({ key } = await t.tenant());
    context.skip(t.database.engine !== 'timescale', 'the columnstore is TimescaleDB');
    await makeChunks(t.sql, today());
  });
  afterEach(() => t.stop());
  const post = async (count: number) => {
    const { status } = await t.call('POST', '/v1/events', { key, body: some(count, today()) });
    expect(status).toBe(200);
  };
  const told = () => lines.flatMap(({ why }) => (why === undefined ? [] : [why]));

  it.each(OBSTACLES)(
    'is noticed when it says so, also where it should not: %s',
    async (_, plant, undo, why) => {
      const { rows } = await t.sql.query('select current_database() as name');
      await t.sql.query(`alter database ${rows[0].name} set client_min_messages = error`);
      await t.sql.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'tidemark ingest'`,
      );
      await post(30);
      expect(await counted(t)).toEqual({ columns: 30, rows: 0, able: 1 });
      await t.sql.query(plant);
      await post(40);
      expect(await counted(t)).toEqual({ columns: 30, rows: 40, able: 0 });
      await post(50);
      expect(await counted(t)).toEqual({ columns: 30, rows: 90, able: 0 });
      expect(told()).toEqual([expect.stringMatching(why)]);
      expect(await columnstoreWrites(t.sql)).toMatchObject({ able: false, why: expect.stringMatching(why) });
      await t.sql.query(undo);
      expect(await columnstoreWrites(t.sql)).toEqual({ able: true });
      expect(await stored(t)).toMatchObject([{ segments: [30], rows: 90 }]);
    },
  );

  it.each([
    [
      'a trigger of which it says nothing',
      `create function note() returns trigger language plpgsql as 'begin return null; end';
       create trigger mine after insert on event for each row execute function note()`,
      /the trigger mine/,
    ],
    ['no columnstore', 'alter table event set (timescaledb.enable_columnstore = false)', /no columnstore/],
    ['another order', `alter table event set (timescaledb.orderby = 'ts desc')`, /ordered by/],
    [
      'another segment',
      `alter table event set (timescaledb.segmentby = 'customer_id')`,
      /segmented by customer_id/,
    ],
  ])('is known beforehand where it would not: %s', async (_, plant, why) => {
    await t.sql.query(plant);
    await post(40);
    expect(await counted(t)).toEqual({ columns: 0, rows: 40, able: 0 });
    expect(told()).toEqual([expect.stringMatching(why)]);
  });

  it('is not asked where columns are not wanted', async () => {
    await t.stop();
    t = await startTestService({ INGEST_COLUMNS_FROM_ROWS: '0' });
    ({ key } = await t.tenant());
    await post(40);
    expect(await counted(t)).toEqual({ columns: 0, rows: 40, able: 0 });
    expect(await stored(t)).toEqual([{ state: 0, segments: [], rows: 40 }]);
  });
});

async function expectRefreshed(t: TestService): Promise<void> {
  await expect
    .poll(
      async () => {
        const { rows } = await t.sql.query(
          `select count(*)::int as n from (select from late_window where stale
             union all select from window_state where refreshed_30s < closed_until) as lacking`,
        );
        return rows[0].n;
      },
      { timeout: 30_000 },
    )
    .toBe(0);
}
