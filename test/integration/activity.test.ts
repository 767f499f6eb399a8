import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../support/bruteForce.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../support/closing.ts';
import { allPages } from '../support/compareSummaries.ts';
import { describeEngine } from '../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

const iso = (ms: number) => new Date(ms).toISOString();
const hourOf = (ms: number) => Math.floor(ms / HOUR) * HOUR;

/** Instances on one database whose windows close by hand. */
async function startPair(env: Record<string, string>): Promise<[TestService, TestService]> {
  const t = await startTestService({ ...CLOSED_BY_HAND, ...env });
  return [t, await startServiceOn(t.database, { ...CLOSED_BY_HAND, ...env })];
}

async function stopPair([t, other]: [TestService, TestService]): Promise<void> {
  await other.service.close();
  await other.sql.end();
  await t.stop();
}

const uncovered = async (t: TestService) => {
  const { rows } = await t.sql.query(
    `select closed_until > covered_until
            or exists (select from late_window where activity_revision < revision) as some
     from window_state, window_coverage`,
  );
  return rows[0].some as boolean;
};

describeEngine(`activity (SEED=${seed})`, () => {
  let pair: [TestService, TestService];
  beforeAll(async () => {
    pair = await startPair({ CLOSER_INTERVAL_MS: '100', CLOSER_STEP_MINUTES: '240' });
  });
  afterAll(() => stopPair(pair));

  /** Hours, days, parts of them, pages, and those of one customer, of any instance. */
  const expectExact = async (
    key: string,
    model: BruteForce,
    from: number,
    to: number,
    customerId?: string,
  ) => {
    for (const [i, [name, length]] of (
      [
        ['hourly', HOUR],
        ['daily', DAY],
      ] as const
    ).entries()) {
      const filter = customerId === undefined ? '' : `&customerId=${encodeURIComponent(customerId)}`;
      const path = `/v1/summaries/${name}?from=${iso(from)}&to=${iso(to)}${filter}`;
      const found = await allPages((p, k) => pair[i]!.call('GET', p, { key: k }), path, key);
      expect(found, path).toEqual(model.activity(length, from, to, customerId));
    }
  };

  it('equals a brute-force count while windows close and late events come', async () => {
    const random = randomFrom(seed);
    const base = await closedUntil(pair[0].sql);
    const tenants = await Promise.all([pair[0].tenant(), pair[0].tenant()]);
    const models = tenants.map(() => new BruteForce());
    let closed = base;
    for (let round = 0; round < 10; round++) {
      await Promise.all([
        ...tenants.flatMap(({ key }, i) =>
          Array.from({ length: 4 }, async (_, writer) => {
            const body = Array.from({ length: Math.ceil(random() * 40) }, (): ClientEvent => {
              const [from, to] = random() < 0.5 ? [base - 2 * DAY, closed] : [closed - HOUR, closed + HOUR];
              const event = randomEvent(random, from!, to!);
              return random() < 0.5 ? { ...event, customerId: `user-${Math.floor(random() * 200)}` } : event;
            });
            const answer = await pair[writer % 2]!.call('POST', '/v1/events', { key, body });
            expect(answer.status, JSON.stringify(answer.body)).toBe(200);
            models[i]!.add(body);
          }),
        ),
        (async () => {
          await sleep(random() * 30);
          const next = closed + Math.floor(random() * 200) * WINDOW;
          const closing = await closeUpTo(pair[0].sql, next).catch(() => null);
          if (closing?.outcome === 'won') closed = next;
        })(),
      ]);
      for (const [i, { key }] of tenants.entries()) {
        await expectExact(key, models[i]!, base - 3 * DAY, closed + DAY);
        const from = base - Math.floor(random() * 2 * DAY);
        await expectExact(key, models[i]!, from, from + 1 + Math.floor(random() * DAY));
        const to = closed + Math.floor((random() - 0.5) * 2 * HOUR);
        await expectExact(key, models[i]!, hourOf(to - 5 * HOUR), to);
        await expectExact(key, models[i]!, hourOf(to - 5 * HOUR), Math.floor(to / WINDOW) * WINDOW);
        await expectExact(key, models[i]!, from, closed + HOUR, 'Zoë');
      }
      await sleep(random() * 300);
    }
    await until(async () => !(await uncovered(pair[0])));
    for (const [i, { id, key }] of tenants.entries()) {
      await expectExact(key, models[i]!, base - 3 * DAY, closed + DAY);
      // And the tables say by themselves what the events of closed windows add up to.
      for (const [level, length] of [
        ['1h', HOUR],
        ['1d', DAY],
      ] as const) {
        const { rows } = await pair[0].sql.query(
          `select bucket, users, (select count(*) from activity_customer c
                                  where (c.tenant_id, c.level, c.bucket) = (u.tenant_id, u.level, u.bucket)) as customers,
             (select sum(calls) from activity_calls a
              where (a.tenant_id, a.level, a.bucket) = (u.tenant_id, u.level, u.bucket)) as calls
           from activity_users u where tenant_id = $1 and level = $2 order by bucket`,
          [id, level],
        );
        expect(
          rows.map(({ bucket, users, customers, calls }) => ({
            bucket: bucket.toISOString(),
            users: [Number(users), Number(customers)],
            calls: Number(calls),
          })),
        ).toEqual(
          models[i]!.activity(length, base - 3 * DAY, closed).map(({ bucket, uniqueUsers, totalEvents }) => ({
            bucket,
            users: [uniqueUsers, uniqueUsers],
            calls: totalEvents,
          })),
        );
      }
    }
  }, 120_000);
});

describeEngine('activity while nobody refreshes', () => {
  let pair: [TestService, TestService];
  beforeAll(async () => {
    pair = await startPair({ CLOSER_INTERVAL_MS: '60000' });
    await sleep(500); // until the first round of each has passed
  });
  afterAll(() => stopPair(pair));

  const cover = (t: TestService) => t.sql.query(`select * from cover_activity('1 day', 1000)`);

  it('comes from the tables, and counts just what they lack', async () => {
    const [t] = pair;
    const { id, key } = await t.tenant();
    const base = hourOf(await closedUntil(t.sql)) + HOUR;
    const post = async (...body: ClientEvent[]) =>
      expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    const at = (ms: number, customerId: string, eventType = 'click') =>
      anEvent({ timestamp: iso(ms), customerId, eventType });
    const read = async (from: number, to: number) => {
      const answer = await t.call('GET', `/v1/summaries/hourly?from=${iso(from)}&to=${iso(to)}`, { key });
      expect(answer.status).toBe(200);
      return answer.body.data.map(
        (s: { uniqueUsers: number; totalClicks: number; totalImpressions: number }) => [
          s.uniqueUsers,
          s.totalClicks,
          s.totalImpressions,
        ],
      );
    };
    const hour = () => read(base, base + HOUR);

    await post(at(base, 'a'), at(base + WINDOW, 'b'), at(base + 50 * WINDOW, 'a', 'impression'));
    expect(await hour()).toEqual([[2, 2, 1]]);
    await closeUpTo(t.sql, base + 40 * WINDOW);
    if (t.database.engine === 'timescale')
      await t.sql.query('update window_state set refreshed_30s = closed_until');
    expect(await hour()).toEqual([[2, 2, 1]]);
    await cover(t);
    expect(await hour()).toEqual([[2, 2, 1]]);

    // What is in the tables is not counted again: here they are told more than there is.
    await t.sql.query('update activity_users set users = users + 1000 where tenant_id = $1', [id]);
    await t.sql.query(
      `update activity_calls set calls = calls + 500 where tenant_id = $1 and level <> '30s'`,
      [id],
    );
    expect(await hour()).toEqual([[1002, 502, 1]]);
    // An open window adds to them, a late event of one who is known, and of one who is not.
    await post(at(base + 60 * WINDOW, 'c'));
    expect(await hour()).toEqual([[1003, 503, 1]]);
    await post(at(base + 5, 'b'), at(base + 2 * WINDOW, 'a', 'impression'));
    expect(await hour()).toEqual([[1003, 504, 2]]);
    await post(at(base + 6, 'd'), at(base + 7, 'c'));
    expect(await hour()).toEqual([[1004, 506, 2]]);
    // A range that ends before what is covered is counted, and so is one that begins in the hour, or is of a customer.
    expect(await read(base, base + WINDOW + 1)).toEqual([[4, 5, 0]]);
    expect(await read(base, base + 45 * WINDOW)).toEqual([[1004, 505, 1]]);
    expect(await read(base, base + 60 * WINDOW + 1)).toEqual([[1004, 506, 2]]);
    expect(await read(base + 1, base + HOUR)).toEqual([[4, 5, 2]]);
    await cover(t);
    expect(await hour()).toEqual([[1004, 506, 2]]);
    const { rows } = await t.sql.query(
      'select count(*)::int as n from late_window where activity_revision < revision',
    );
    expect(rows[0].n).toBe(0);
    await closeUpTo(t.sql, base + 2 * HOUR);
    if (t.database.engine === 'timescale')
      await t.sql.query('update window_state set refreshed_30s = closed_until');
    await cover(t);
    expect(await hour()).toEqual([[1004, 506, 2]]);
  });

  it('leaves a change that a batch holds just now for the next time', async () => {
    const [t] = pair;
    const { key } = await t.tenant();
    const base = hourOf(await closedUntil(t.sql)) - HOUR;
    const late = (customerId: string) =>
      t.call('POST', '/v1/events', { key, body: anEvent({ timestamp: iso(base), customerId }) });
    await late('a');
    const batch = await t.sql.connect();
    try {
      await batch.query('begin');
      await batch.query(
        `update late_window set revision = revision + 1 where customer_id = 'a' and bucket = $1`,
        [new Date(base)],
      );
      await cover(t); // does not wait
      await batch.query('commit');
    } finally {
      batch.release();
    }
    expect(await uncovered(t)).toBe(true);
    await cover(t);
    const path = `/v1/summaries/hourly?from=${iso(base)}&to=${iso(base + HOUR)}`;
    expect((await t.call('GET', path, { key })).body.data).toMatchObject([
      { uniqueUsers: 1, totalEvents: 1 },
    ]);
  });
});
