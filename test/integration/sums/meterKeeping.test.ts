import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { FillPace } from '../../../src/sums/meters/keeping/fillPace.ts';
import { fillSeries } from '../../../src/sums/meters/keeping/fillSeries.ts';
import { foldMeters, settleMembers } from '../../../src/sums/meters/keeping/foldMeters.ts';
import { surveyMeters } from '../../../src/sums/meters/keeping/surveyMeters.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import {
  archiveMeter,
  type ByHand,
  type MeteredEvent,
  makeMeter,
  sumsByHand,
  sumsKept,
  upkeepRests,
} from '../../support/meterSums.ts';
import { startServiceOn, type TestService, until } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

/** Windows of levels and what waits for them, as a read has them. */
const PART_COLUMNS = `events, counted, sum, min, max, latest_at, latest_id, latest, ignored_missing, ignored_null,
  ignored_type, ignored_range, members`;
const LEVELS_AND_PARTS = `(
  select series_id, bucket, customer_id, dims, ${PART_COLUMNS} from meter_30s
  union all select series_id, bucket, customer_id, dims, ${PART_COLUMNS} from meter_part
  union all select series_id, bucket, '', dims, ${PART_COLUMNS} from meter_part) as kept`;

/** What of an event's metadata a number can be, and what that is to a series of numbers. */
const VALUES: [unknown, { value?: string; ignored?: 'missing' | 'null' | 'type' | 'range' }][] = [
  [7, { value: '7' }],
  [0.1, { value: '0.1' }],
  [-12.75, { value: '-12.75' }],
  ['99999999999999999999.000000000000000001', { value: '99999999999999999999.000000000000000001' }],
  ['1e3', { value: '1000' }],
  ['123456789012345678901', { ignored: 'range' }],
  ['much', { ignored: 'type' }],
  [true, { ignored: 'type' }],
  [null, { ignored: 'null' }],
  [undefined, { ignored: 'missing' }],
];
const USERS: [unknown, { member?: string; ignored?: 'missing' | 'null' | 'type' }][] = [
  ...Array.from({ length: 6 }, (_, i): [unknown, { member: string }] => [
    `user-${i}`,
    { member: `user-${i}` },
  ]),
  [1, { member: '1' }],
  ['1', { member: '1' }],
  [false, { member: 'false' }],
  [{ id: 1 }, { ignored: 'type' }],
  [null, { ignored: 'null' }],
  [undefined, { ignored: 'missing' }],
];
const PLANS = ['free', 'pro', 3, null, undefined];
const planOf = (plan: unknown) => (plan == null ? null : String(plan));

/** The series that are tried: what they are, and what an event is to them. */
const SERIES = {
  size: {
    definition: { aggregation: 'sum', value: '$.size', dimensions: { plan: '$.plan', zone: "$['zone']" } },
    byHand: ({ eventType, metadata }: MeteredEvent) =>
      eventType === 'upload'
        ? {
            dims: [planOf(metadata.plan), (metadata.zone as string) ?? null],
            ...VALUES.find(([value]) => value === metadata.size)![1],
          }
        : undefined,
  },
  clicks: {
    definition: {
      aggregation: 'count',
      eventType: 'click',
      filter: [{ path: '$.plan', equals: 'pro' }],
    },
    byHand: ({ eventType, metadata }: MeteredEvent) =>
      eventType === 'click' && metadata.plan === 'pro' ? { dims: [] } : undefined,
  },
  users: {
    definition: { aggregation: 'uniqueCount', value: '$.user', dimensions: { zone: '$.zone' } },
    byHand: ({ eventType, metadata }: MeteredEvent) =>
      eventType === 'upload'
        ? {
            dims: [(metadata.zone as string) ?? null],
            ...USERS.find(([value]) => JSON.stringify(value) === JSON.stringify(metadata.user))![1],
          }
        : undefined,
  },
} as const satisfies Record<string, { definition: object; byHand: ByHand }>;
type Slug = keyof typeof SERIES;

describeEngine(`keeping meters (SEED=${seed})`, () => {
  let database: TestDatabase;
  let t: TestService;
  let sql: pg.Pool;
  let closed: number;
  let tenant: { id: string; key: string };
  let events: MeteredEvent[];
  const random = randomFrom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;

  /** A service that neither closes nor keeps meters within a test. */
  const QUIET = { ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' };
  beforeEach(async () => {
    database = await createTestDatabase();
    t = await startServiceOn(database, QUIET);
    sql = new pg.Pool({ connectionString: database.url, application_name: 'watching', max: 4 });
    sql.on('error', () => undefined);
    closed = await closedUntil(sql);
    tenant = await t.tenant();
    events = [];
    await upkeepRests(sql);
  });
  afterEach(async () => {
    await sql.end();
    await t.stop();
  });

  const connect = async () => {
    const client = new pg.Client({ connectionString: database.url, application_name: 'keeping' });
    client.on('error', () => undefined);
    await client.connect();
    onTestFinished(() => client.end().catch(() => undefined));
    return client;
  };
  const pidOf = (client: pg.Client) => (client as unknown as { processID: number }).processID;
  const anEventAt = (ms: number, metadata: Record<string, unknown> = {}): MeteredEvent => ({
    eventId: randomUUID(),
    timestamp: iso(ms),
    customerId: 'ann',
    eventType: 'upload',
    metadata,
  });
  const randomEventAt = (ms: number): MeteredEvent => {
    const eventType = pick(['upload', 'upload', 'click']);
    return {
      eventId: randomUUID(),
      timestamp: iso(ms),
      customerId: pick(['ann', 'bob', 'Zoë']),
      eventType,
      metadata: {
        size: pick(VALUES)[0],
        user: pick(USERS)[0],
        plan: pick(PLANS),
        zone: pick(['eu', 'us', undefined]),
      },
    };
  };
  const post = async (body: MeteredEvent[], service = t) => {
    const answer = await service.call('POST', '/v1/events', { key: tenant.key, body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    const known = new Set(events.map(({ eventId }) => eventId));
    for (const event of body) {
      if (!known.has(event.eventId)) events.push(event);
      known.add(event.eventId);
    }
  };
  const make = (slug: Slug) => makeMeter(sql, tenant.id, slug, SERIES[slug].definition as never);
  const stateOf = async (id: number, db: pg.Pool | pg.ClientBase = sql) => {
    const { rows } = await db.query(
      `select (extract(epoch from filled_from) * 1000)::text as from, filled_from <= fill_floor as complete,
         (select count(*)::int from meter_part where series_id = id) as parts,
         (select extract(epoch from members_1h_until) * 1000 from meter_fold)::text as hours,
         (select extract(epoch from members_1d_until) * 1000 from meter_fold)::text as days
       from meter_series where id = $1`,
      [id],
    );
    const { from, complete, parts, hours, days } = rows[0];
    return { from: Number(from), complete, parts, hours: Number(hours), days: Number(days) };
  };

  it('knows of a series that is to be filled where no event was ever sent', async () => {
    await make('size');
    expect(await surveyMeters(sql)).toMatchObject({ seriesFilling: 1, behindSeconds: 0 });
    await post([anEventAt(closed - DAY)]);
    const { behindSeconds } = await surveyMeters(sql);
    expect(behindSeconds).toBeGreaterThan(DAY / 1_000 - 1);
  });
  const EVER = { from: Date.UTC(2000), until: Date.UTC(2100) };
  /** Levels and parts are what the events say, from where the series is filled; hours and days say what windows do. */
  const expectExact = async (slug: Slug, id: number) => {
    const db = await sql.connect();
    try {
      await db.query('begin isolation level repeatable read');
      const { from, hours, days } = await stateOf(id, db);
      const range = { from: Math.max(EVER.from, from), until: EVER.until };
      const { byHand } = SERIES[slug];
      if (range.from < range.until)
        expect(await sumsKept(db, LEVELS_AND_PARTS, id, range)).toEqual(
          sumsByHand(events, byHand, '30s', range),
        );
      const inLevels = await db.query(
        `select h.bucket from meter_1h h left join (
           select date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, customer_id, dims, sum(events) as events, sum(sum) as sum
           from meter_30s where series_id = $1 group by 1, 2, 3) as w using (bucket, customer_id, dims)
         where series_id = $1 and (h.events, h.sum) is distinct from (w.events, w.sum)
         union all
         select d.bucket from meter_1d d left join (
           select date_bin('1 day', bucket, 'epoch'::timestamptz) as bucket, customer_id, dims, sum(events) as events, sum(sum) as sum
           from meter_1h where series_id = $1 group by 1, 2, 3) as h using (bucket, customer_id, dims)
         where series_id = $1 and (d.events, d.sum) is distinct from (h.events, h.sum)`,
        [id],
      );
      expect(inLevels.rows).toEqual([]);
      const early = await db.query(
        `select bucket from meter_1h where series_id = $1 and members is not null and bucket >= to_timestamp($2)
         union all
         select bucket from meter_1d where series_id = $1 and members is not null and bucket >= to_timestamp($3)`,
        [id, hours / 1_000, days / 1_000],
      );
      expect(early.rows).toEqual([]);
      await db.query('commit');
    } finally {
      db.release();
    }
  };
  /** All three levels are what the events say, and nothing waits. */
  const expectKept = async (slug: Slug, id: number) => {
    const state = await stateOf(id);
    expect(state).toMatchObject({ complete: true, parts: 0 });
    const { byHand } = SERIES[slug];
    for (const level of ['30s', '1h', '1d'] as const) {
      for (const range of membersOf(level, state)) {
        expect(await sumsKept(sql, `meter_${level}`, id, range), level).toEqual(
          sumsByHand(events, byHand, level, range),
        );
      }
    }
  };
  const membersOf = (level: '30s' | '1h' | '1d', { hours, days }: { hours: number; days: number }) => {
    if (level === '30s') return [EVER];
    const end = level === '1h' ? hours : days;
    return [
      { from: EVER.from, until: end },
      { from: end, until: EVER.until, members: false },
    ];
  };
  const foldAll = async (client: pg.Client, parts?: number) => {
    while ((await foldMeters(client, database.engine, parts))?.more);
  };
  const settleAll = async (client: pg.Client) => {
    while (await settleMembers(client, database.engine));
  };
  const fillAll = async (client: pg.Client, pace = new FillPace()) => {
    while (await fillSeries(client, database.engine, pace, new AbortController().signal));
  };
  /** As it is for whoever has a part of a second. */
  const slowly = () => Object.assign(new FillPace(), { blindMs: 20 * 60_000, events: 20, took() {} });

  it('is exact after any batches, closings, folds and fills, in any order and at once', async () => {
    const [folder, filler] = [await connect(), await connect()];
    const pace = slowly();
    const ids = new Map<Slug, number>();
    const from = closed - 26 * HOUR;
    let last: MeteredEvent[] = [];
    let end = closed;
    const steps: [number, () => Promise<unknown>][] = [
      [
        5,
        async () => {
          const body = Array.from({ length: 1 + Math.floor(random() * 30) }, () =>
            randomEventAt(Math.floor(from + random() * (end + HOUR - from))),
          );
          last = body;
          await post(body);
        },
      ],
      [2, async () => post([...last, ...last.slice(0, 3), randomEventAt(end)])], // the claiming path, and repeated ones
      [
        1,
        async () => {
          end += 20 * 60_000;
          await closeUpTo(sql, end);
        },
      ],
      [2, () => foldMeters(folder, database.engine, 1 + Math.floor(random() * 40))],
      [1, () => settleMembers(folder, database.engine)],
      [2, () => fillSeries(filler, database.engine, pace, new AbortController().signal)],
      [
        1,
        async () => {
          const slug = (Object.keys(SERIES) as Slug[]).find((one) => !ids.has(one));
          if (slug) ids.set(slug, await make(slug));
        },
      ],
    ];
    const drawn = steps.flatMap(([weight, step]) => Array.from({ length: weight }, () => step));
    ids.set('size', await make('size'));
    for (let round = 0; round < 60; round++) {
      const now = [pick(drawn), pick(drawn)];
      if (now[0] === now[1]) await now[0]!();
      else await Promise.all(now.map((step) => step()));
      if (round % 4 === 0) for (const [slug, id] of ids) await expectExact(slug, id);
    }
    await closeUpTo(sql, end + 2 * HOUR);
    await Promise.all([foldAll(folder, 50), fillAll(filler)]);
    await fillAll(filler);
    await foldAll(folder);
    await settleAll(folder);
    for (const [slug, id] of ids) await expectKept(slug, id);
    // Late events of hours whose members are settled.
    await post(Array.from({ length: 60 }, () => randomEventAt(Math.floor(from + random() * (end - from)))));
    await foldAll(folder);
    for (const [slug, id] of ids) await expectKept(slug, id);
    expect(ids.size).toBeGreaterThan(1);
  });

  it('feeds nothing and is asked nothing where a tenant has no meters', async () => {
    await make('size');
    const other = await t.tenant();
    const body = [anEventAt(closed, { size: 1 })];
    expect((await t.call('POST', '/v1/events', { key: other.key, body })).status).toBe(200);
    expect((await sql.query('select from meter_part')).rowCount).toBe(0);
  });

  it('feeds a series from the first batch after it was made, and not from the one that retired it on', async () => {
    await post([anEventAt(closed, { size: 1 })]);
    const id = await make('size');
    await post([anEventAt(closed, { size: 2 })]);
    const again = await makeMeter(sql, tenant.id, 'same', SERIES.size.definition as never);
    expect(again).toBe(id);
    await archiveMeter(sql, tenant.id, 'size');
    await post([anEventAt(closed, { size: 3 })]); // somebody still reads it
    await archiveMeter(sql, tenant.id, 'same');
    await post([anEventAt(closed, { size: 4 })]);
    const sums = await sql.query('select sum::float8 from meter_part where series_id = $1 order by 1', [id]);
    expect(sums.rows.map(({ sum }) => sum)).toEqual([2, 3]);
    const client = await connect();
    await closeUpTo(sql, closed + WINDOW);
    expect(await foldMeters(client, database.engine)).toEqual({ folded: 2, more: false });
    expect((await sql.query('select from meter_30s')).rowCount).toBe(0); // they were never filled
    expect(await make('size')).toBeGreaterThan(id);
  });

  it('refuses batches of the version before, which feeds no meters', async () => {
    const enter = `select from enter_batch('infinity', (select interest_version from window_state))`;
    await sql.query(enter);
    await make('clicks');
    await expect(sql.query(enter)).rejects.toMatchObject({ code: 'TM004' });
    await archiveMeter(sql, tenant.id, 'clicks');
    await sql.query(enter);
  });

  it('is left to whoever is at it', async () => {
    const id = await make('size');
    await post([anEventAt(closed, { size: 7 })]);
    await closeUpTo(sql, closed + WINDOW);
    const [one, other] = [await connect(), await connect()];
    await one.query('begin; lock table meter_fold in exclusive mode');
    expect(await foldMeters(other, database.engine)).toBeNull();
    expect(await fillSeries(other, database.engine, new FillPace(), new AbortController().signal)).toBeNull();
    expect((await stateOf(id)).parts).toBe(1);
    await one.query('rollback');
    await fillAll(other);
    await expectKept('size', id);
  });

  it('loses and doubles nothing where it is killed in the midst', async () => {
    const id = await make('users');
    const body = Array.from({ length: 40 }, () => randomEventAt(closed - Math.floor(random() * HOUR)));
    await post(body);
    await closeUpTo(sql, closed + HOUR);
    const blocker = await connect();
    const killed = async (work: (client: pg.Client) => Promise<unknown>) => {
      const client = await connect();
      await blocker.query('begin; lock table meter_1d in share mode');
      const done = expect(work(client)).rejects.toThrow();
      await until(async () => {
        const { rows } = await sql.query(
          'select wait_event_type as on from pg_stat_activity where pid = $1',
          [pidOf(client)],
        );
        return rows[0]?.on === 'Lock';
      });
      await sql.query('select pg_terminate_backend($1)', [pidOf(client)]);
      await done;
      await blocker.query('rollback');
    };
    const signal = new AbortController().signal;
    await killed((client) => fillSeries(client, database.engine, new FillPace(), signal));
    expect(await stateOf(id)).toMatchObject({ from: Number.POSITIVE_INFINITY });
    await expectExact('users', id);
    const keeper = await connect();
    await fillAll(keeper);
    await post(
      body.concat(Array.from({ length: 40 }, () => randomEventAt(closed - Math.floor(random() * HOUR)))),
    );
    await killed((client) => foldMeters(client, database.engine));
    expect((await stateOf(id)).parts).toBeGreaterThan(0);
    await expectExact('users', id);
    await foldAll(keeper);
    await expectKept('users', id);
  });

  it('is done by one of several instances, behind a pooler too, while events come in', async () => {
    const ids = { size: await make('size'), users: await make('users') };
    await post(Array.from({ length: 50 }, () => randomEventAt(closed - Math.floor(random() * DAY))));
    const env = { ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '50', CLOSER_RETRY_MS: '20' };
    const others = await Promise.all([
      startServiceOn(database, env),
      startServiceOn(database, { ...env, DATABASE_POOLER: 'transaction' }),
      startServiceOn(database, { ...env, DATABASE_POOLER: 'transaction' }),
    ]);
    onTestFinished(async () => {
      await Promise.all(others.map((one) => one.service.close()));
      await Promise.all(others.map((one) => one.sql.end()));
    });
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        others.map((one) =>
          post(
            Array.from({ length: 10 }, () => randomEventAt(closed + HOUR - Math.floor(random() * DAY))),
            one,
          ),
        ),
      );
      if (round === 10) await closeUpTo(sql, closed + HOUR / 2).catch(() => undefined);
    }
    await until(async () => {
      await closeUpTo(sql, closed + 2 * HOUR).catch(() => undefined);
      const states = await Promise.all(Object.values(ids).map((id) => stateOf(id)));
      return states.every(({ complete, parts }) => complete && parts === 0);
    });
    await settleAll(await connect());
    await expectKept('size', ids.size);
    await expectKept('users', ids.users);
    const told = async (name: string) => {
      const answers = await Promise.all(others.map((one) => one.call('GET', '/metrics')));
      return answers.map(({ body }) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body)![1]));
    };
    await until(async () => (await told('tidemark_meter_series_filling')).every((n) => n === 0));
    const sum = (counts: number[]) => counts.reduce((all, n) => all + n, 0);
    expect(sum(await told('tidemark_meter_parts_folded_total'))).toBeGreaterThan(0);
    expect(sum(await told('tidemark_meter_filled_events_total'))).toBeGreaterThan(0);
  });

  it('counts none before eventFrom, and ends there', async () => {
    const eventFromMicros = (closed - HOUR) * 1_000 + 7;
    await post([anEventAt(closed - HOUR), anEventAt(closed - HOUR + 1)]);
    const id = await makeMeter(sql, tenant.id, 'late', { aggregation: 'count', eventFromMicros });
    await post([anEventAt(closed - 2 * HOUR), anEventAt(closed - HOUR + 2)]);
    const client = await connect();
    await fillAll(client);
    await foldAll(client);
    const { rows } = await sql.query(
      `select sum(events)::int as events, (select filled_from from meter_series)::text as filled from meter_30s where customer_id = ''`,
    );
    expect(rows[0]).toEqual({ events: 2, filled: '-infinity' });
    expect((await stateOf(id)).parts).toBe(0);
  });

  it('takes smaller steps where one takes too long, and goes on', async () => {
    const pace = new FillPace();
    pace.tookTooLong(DAY);
    expect([pace.mostMs, pace.blindMs, pace.events]).toEqual([3 * HOUR, HOUR, 12_500]);
    for (let i = 0; i < 20; i++) pace.tookTooLong(pace.mostMs);
    expect([pace.mostMs, pace.blindMs, pace.events]).toEqual([WINDOW, WINDOW, 1_000]);
    expect(pace.canDivide(WINDOW)).toBe(false);
    await post(Array.from({ length: 30 }, () => randomEventAt(closed - Math.floor(random() * 5 * 60_000))));
    const id = await make('size');
    const client = await connect();
    let steps = 0;
    while (
      await fillSeries(
        client,
        database.engine,
        Object.assign(pace, { took() {} }),
        new AbortController().signal,
      )
    ) {
      steps++;
      await expectExact('size', id);
    }
    expect(steps).toBeGreaterThan(5);
    await closeUpTo(sql, closed + WINDOW);
    await foldAll(client);
    await expectKept('size', id);
  });
});
