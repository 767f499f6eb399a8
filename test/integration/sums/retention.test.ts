import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { afterEach, describe, expect, it, test } from 'vitest';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { importFile } from '../../../src/intake/importing/importFile.ts';
import { type BadLine, ImportCounts } from '../../../src/intake/importing/importRows.ts';
import { parseMapping } from '../../../src/intake/importing/mapping.ts';
import { openSource } from '../../../src/intake/importing/openSource.ts';
import { StartupError } from '../../../src/model/errors.ts';
import { policyReport } from '../../../src/sums/retention/policyReport.ts';
import { refreshRollup } from '../../../src/sums/windows/refreshRollup.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { allPages, USAGE_VIEWS } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';
import { caughtUp, DAY, describeColumnstore, expectAll, iso, post, today } from './describeColumnstore.ts';

/** Short lives. What is accepted is younger than what is kept. */
const SHORT = {
  ACCEPT_BEHIND_DAYS: '3',
  EVENT_RETENTION_DAYS: '5',
  USAGE_30S_RETENTION_DAYS: '9',
  USAGE_1H_RETENTION_DAYS: '13',
  USAGE_1D_RETENTION_DAYS: '40',
  COLUMNSTORE_AFTER_DAYS: '0',
};

describeColumnstore({ days: 3, events: 450, packed: 200_000 });

describeEngine('what is older than it is kept', () => {
  let t: TestService;
  const more: TestService[] = [];
  afterEach(async () => {
    for (const { service, sql } of more.splice(0)) {
      await service.close();
      await sql.end();
    }
    await t.stop();
  });

  /** Events of the last 20 days, three of them at the edges of each. */
  async function fill(): Promise<{ tenant: { id: string; key: string }; model: BruteForce }> {
    t = await startTestService();
    const tenant = await t.tenant();
    const model = new BruteForce();
    const random = randomFrom(14);
    const events: ClientEvent[] = [];
    for (let day = 20; day >= 1; day--) {
      const from = today() - day * DAY;
      for (let i = 0; i < 25; i++) events.push(randomEvent(random, from, from + DAY));
      for (const at of [from, from + 30_001, from + DAY - 1])
        events.push(
          anEvent({ timestamp: iso(at), customerId: 'alice', reference: 'edge', metadata: { tokens: 7 } }),
        );
    }
    await post(t, tenant.key, events);
    model.add(events);
    await caughtUp(t.sql);
    return { tenant, model };
  }

  async function halt(): Promise<void> {
    await t.service.close();
    t.service.close = async () => 0;
  }

  async function restart(env: Record<string, string>): Promise<TestService> {
    await t.service.close();
    const next = await startServiceOn(t.database, env, {
      configure: ({ retention }) =>
        Object.assign(retention, { intervalMs: 50, removeAfterMs: 0, passEveryMs: 0 }),
    });
    t = { ...next, tenant: t.tenant, database: t.database };
    return t;
  }

  const ask = (path: string, key: string) => t.call('GET', path, { key });
  const views = (...names: string[]) =>
    USAGE_VIEWS.filter(({ granularity, timezone }) => names.includes(`${granularity} ${timezone}`));
  const range = (from: number, to: number) => `from=${iso(from)}&to=${iso(to)}`;

  it('goes, level by level, and what is left answers exactly as before', async () => {
    const { tenant, model } = await fill();
    const sessions = [
      await ask('/v1/sessions/edge', tenant.key),
      await ask('/v1/sessions/order-1', tenant.key),
    ];
    await expectAll(ask, tenant, model, today() - 20 * DAY, today());

    await restart(SHORT);
    await removed(t.sql);
    const floors = { event: 5, usage_30s: 9, usage_1h: 13, usage_1d: 40 };
    const { rows } = await t.sql.query(
      `select relation, extract(epoch from kept_from) * 1000 as ms from retention where relation = any ($1)`,
      [Object.keys(floors)],
    );
    expect(Object.fromEntries(rows.map((row) => [row.relation, (today() - Number(row.ms)) / DAY]))).toEqual(
      floors,
    );
    expect(await count(t.sql, 'event', 'ts', today() - 5 * DAY)).toEqual({ older: 0, younger: 5 * 28 });
    for (const [table, days] of [
      ['late_window', 9],
      ["activity_customer where level = '1h'", 13],
      ["activity_calls where level = '1h'", 13],
      ["activity_calls where level = '30s'", 5],
      ...(t.database.engine === 'postgres'
        ? ([
            ['usage_30s', 9],
            ['usage_1h', 13],
          ] as const)
        : []),
    ] as const) {
      expect([table, await count(t.sql, table, 'bucket', today() - days * DAY)]).toEqual([
        table,
        { older: 0, younger: expect.any(Number) },
      ]);
    }

    // Each level alone, from its own edge on: the finer ones are gone there.
    await expectAll(ask, tenant, model, today() - 5 * DAY + 12_345, today() - DAY / 3);
    const thirty = views(
      '30s UTC',
      '5m UTC',
      '1h UTC',
      '1h Asia/Kolkata',
      '1d UTC',
      '1d Asia/Kolkata',
      '1mo UTC',
    );
    await expectAll(ask, tenant, model, today() - 9 * DAY, today(), thirty);
    await expectUsage(tenant, model, today() - 13 * DAY, views('1h UTC', '1d UTC', '1d Asia/Tokyo'));
    await expectUsage(tenant, model, today() - 20 * DAY, views('1d UTC', '1mo UTC'));
    const daily = `/v1/summaries/daily?${range(today() - 20 * DAY, today())}`;
    expect(await allPages(ask, daily, tenant.key)).toEqual(model.activity(DAY, today() - 20 * DAY, today()));
    const hourly = `/v1/summaries/hourly?${range(today() - 13 * DAY, today())}`;
    expect(await allPages(ask, hourly, tenant.key)).toEqual(
      model.activity(3_600_000, today() - 13 * DAY, today()),
    );
    const one = `${daily}&customerId=alice`;
    expect(await allPages(ask, one, tenant.key)).toEqual(
      model.activity(DAY, today() - 20 * DAY, today(), 'alice'),
    );
    expect(await ask('/v1/sessions/edge', tenant.key)).toMatchObject({ body: sessions[0]!.body });
    expect(await ask('/v1/sessions/order-1', tenant.key)).toMatchObject({ body: sessions[1]!.body });
  });

  const expectUsage = async (
    tenant: { key: string },
    model: BruteForce,
    from: number,
    series: typeof USAGE_VIEWS,
  ) => {
    for (const { granularity, timezone, bucketOf } of series) {
      const query = `granularity=${granularity}&timezone=${timezone}&groupBy=customer,model&limit=10000`;
      const points = await allPages(ask, `/v1/usage?${range(from, today())}&${query}`, tenant.key);
      expect(
        points.map(({ bucketEnd, latency, ...point }) => ({
          ...point,
          latencyCount: latency.count,
          maxMs: latency.maxMs,
        })),
        `${granularity} ${timezone}`,
      ).toEqual(model.usage(bucketOf, from, today()));
    }
  };

  it('is refused where an answer would lack it, and never left out', async () => {
    const { tenant } = await fill();
    await restart(SHORT);
    await removed(t.sql);
    const old = { event: today() - 5 * DAY, thirty: today() - 9 * DAY, hour: today() - 13 * DAY };
    const refused = [
      // A part of 30 seconds is counted from events.
      `/v1/usage?${range(old.event - 1, old.event + DAY)}&granularity=30s`,
      `/v1/usage?${range(old.event - DAY + 1, today())}&granularity=1d`,
      `/v1/usage?${range(old.thirty, old.event - 5)}&granularity=1d`,
      `/v1/events?${range(old.event - 1, today())}`,
      `/v1/events?${range(today() - 20 * DAY, today() - 18 * DAY)}`,
      `/v1/records?${range(old.event - 1, today())}`,
      // A part of an hour, and shorter buckets, from 30 seconds.
      `/v1/usage?${range(old.thirty - 30_000, today())}&granularity=1h`,
      `/v1/usage?${range(old.thirty - DAY, today())}&granularity=5m`,
      `/v1/usage?${range(old.thirty - DAY, today())}&granularity=1d&timezone=Asia/Kolkata`,
      `/v1/windows?${range(old.thirty - 30_000, today())}`,
      `/v1/windows?${range(old.thirty - 2 * DAY, old.thirty - DAY)}&customerId=alice`,
      `/v1/windows?${range(old.thirty - 30_000, today())}&state=revised`,
      // A part of a day, and days elsewhere, from hours.
      `/v1/usage?${range(old.hour - 3_600_000, today())}&granularity=1d`,
      `/v1/usage?${range(old.hour - DAY, today())}&granularity=1d&timezone=Asia/Tokyo`,
      `/v1/summaries/hourly?${range(old.hour - 3_600_000, today())}`,
      `/v1/summaries/daily?${range(old.hour - 3_600_000, today())}`,
      `/v1/summaries/daily?${range(old.hour - 3_600_000, today())}&customerId=alice`,
    ];
    for (const path of refused) {
      const { status, body } = await ask(path, tenant.key);
      expect([path, status, body.code]).toEqual([path, 400, 'range_not_kept']);
      expect(body.detail).toMatch(/ before \d{4}-\d\d-\d\dT00:00:00\.000Z are no longer kept; /);
    }
    // What is asked for without a beginning reaches as far back as it is kept.
    for (const path of [
      ...['30s', '1m', '5m', '15m', '1h', '1d', '1mo', '1d&timezone=Asia/Kolkata'].map(
        (granularity) => `/v1/usage?granularity=${granularity}`,
      ),
      '/v1/windows',
      '/v1/events',
      '/v1/records',
      '/v1/summaries/hourly',
      '/v1/summaries/daily',
    ]) {
      expect([path, (await ask(path, tenant.key)).status]).toEqual([path, 200]);
    }
    const windows = await allPages(ask, `/v1/windows?closedAfter=${iso(0)}&limit=1000`, tenant.key);
    expect(windows[0].windowStart >= iso(old.thirty)).toBe(true);
    expect(windows.length).toBeGreaterThan(9 * 20);
  });

  it('stays away from late events, duplicates and imports', async () => {
    const { tenant, model } = await fill();
    await restart(SHORT);
    await removed(t.sql);

    // Late, into a day next to what is gone: the summaries around it are made anew, of what is all there.
    const late = Array.from({ length: 20 }, (_, i) =>
      anEvent({
        timestamp: iso(Date.now() - 3 * DAY + 60_000 + i * 1_000),
        customerId: 'alice',
        reference: 'edge',
      }),
    );
    expect(await post(t, tenant.key, [...late, ...late])).toEqual({ accepted: 20, duplicates: 20 });
    model.add(late);
    await caughtUp(t.sql);
    const [dup] = [...model.events.values()];
    expect((await t.call('POST', '/v1/events', { key: tenant.key, body: dup })).body.code).toBe(
      'invalid_events',
    );
    await expectUsage(tenant, model, today() - 20 * DAY, views('1d UTC'));
    await expectUsage(tenant, model, today() - 13 * DAY, views('1h UTC'));
    await expectAll(ask, tenant, model, today() - 5 * DAY, today());

    // Imported, as far as events are kept.
    const path = join(await runFolder(), 'old.csv');
    const times = [today() - 5 * DAY - 1, today() - 5 * DAY, today() - 700 * DAY];
    await writeFile(path, `time\n${times.map(iso).join('\n')}\n`);
    const { counts, faults } = await importPath(path, tenant.id);
    expect(counts).toMatchObject({ stored: 1, badLines: 2 });
    expect(faults.map(({ line, pointer, code }) => ({ line, pointer, code }))).toEqual([
      { line: 2, pointer: '/timestamp', code: 'timestamp_too_old' },
      { line: 4, pointer: '/timestamp', code: 'timestamp_too_old' },
    ]);
    expect(faults[0]!.message).toContain(`nothing before ${iso(today() - 5 * DAY)}`);
    expect(await count(t.sql, 'event', 'ts', today() - 5 * DAY)).toMatchObject({ older: 0 });
  });

  it('takes void events with it as events, and the history of windows as windows', async () => {
    const { tenant, model } = await fill();
    const ids = [...model.events.values()]
      .filter(({ timestamp, customerId }) => customerId === 'alice' && Date.parse(timestamp) % DAY === 0)
      .map(({ eventId }) => eventId);
    expect(ids.length).toBeGreaterThanOrEqual(20);
    const correct = (kind: string, body: object) =>
      t.call('POST', `/v1/events/${kind}`, { key: tenant.key, body: { reason: 'wrong', ...body } });
    expect((await correct('void', { ids })).body).toMatchObject({ events: ids.length, unknown: [] });
    model.void(ids);
    await caughtUp(t.sql);
    await restart(SHORT);
    await removed(t.sql);
    const some = { older: 0, younger: expect.any(Number) };
    const left = {
      uncounted_event: await count(t.sql, 'uncounted_event', 'ts', today() - 5 * DAY),
      window_revision: await count(t.sql, 'window_revision', 'bucket', today() - 9 * DAY),
      correction_event: await count(t.sql, 'correction_event', 'bucket', today() - 9 * DAY),
    };
    expect(left).toEqual({ uncounted_event: some, window_revision: some, correction_event: some });
    expect([left.uncounted_event.younger >= 5, left.correction_event.younger >= 9]).toEqual([true, true]);
    await expectAll(ask, tenant, model, today() - 5 * DAY + 12_345, today() - DAY / 3);

    const unkept = `customerId=alice&windowStart=${iso(today() - 10 * DAY)}`;
    expect((await ask(`/v1/windows/history?${unkept}`, tenant.key)).body.code).toBe('range_not_kept');
    // Of a day whose events are gone and whose windows are not.
    const window = iso(today() - 8 * DAY);
    const history = `/v1/windows/history?customerId=alice&windowStart=${window}`;
    const { body } = await ask(history, tenant.key);
    const ofVoid = body.data.at(-1);
    expect(ofVoid).toMatchObject({ cause: 'void', correction: { reason: 'wrong' } });
    const events = (revision: number) =>
      ask(`/v1/windows/${window}/customers/alice/revisions/${revision}/events`, tenant.key);
    expect(body.data[0]).toMatchObject({ cause: 'late', revision: 1 });
    expect((await events(1)).body.code).toBe('range_not_kept'); // they would have to be looked up
    const [gone] = (await events(ofVoid.revision)).body.data;
    expect(ids).toContain(gone.eventId);
    expect((await ask(`/v1/events/${gone.eventId}`, tenant.key)).status).toBe(404);
    const counted = [...model.events.values()].find(
      ({ timestamp }) => Date.parse(timestamp) < today() - 6 * DAY,
    )!;
    for (const [kind, eventId] of [
      ['restore', gone.eventId],
      ['void', counted.eventId],
    ]) {
      expect((await correct(kind, { ids: [eventId] })).body).toMatchObject({
        correctionId: null,
        unknown: [eventId],
      });
    }
    const { timestamp } = counted;
    const told = await correct('void', { events: [{ eventId: counted.eventId, timestamp }] });
    expect(told.body).toMatchObject({ correctionId: null, events: 0 });
  });

  it('is missed by backfills, staged or closed: neither counts in part, nor goes in part', async () => {
    const { tenant, model } = await fill();
    const { key } = tenant;
    const event = (day: number) => anEvent({ timestamp: iso(today() - day * DAY), customerId: 'bob' });
    const backfill = async (from: number, to: number, ...body: ClientEvent[]): Promise<string> => {
      const range = { from: iso(today() - from * DAY), to: iso(today() - to * DAY) };
      const made = await t.call('POST', '/v1/backfills', {
        key,
        body: { ...range, replace: true, reason: 'lost' },
      });
      const { id } = made.body;
      if (body.length > 0) {
        const staged = await t.call('POST', `/v1/events?backfill=${id}`, { key, body });
        expect(staged.body).toEqual({ staged: body.length, duplicates: 0 });
      }
      return id;
    };
    const move = async (id: string, how: 'close' | 'revert') => {
      const body = how === 'revert' ? { body: { reason: 'wrong' } } : {};
      return (await t.call('POST', `/v1/backfills/${id}/${how}`, { key, ...body })).body;
    };
    const closed = await backfill(11, 4, event(10), event(4.5));
    expect(await move(closed, 'close')).toMatchObject({ closed: { events: 2 } });
    const partly = await backfill(10, 4, event(9), event(4.5));
    const brought = event(2);
    const young = await backfill(4, 0, brought);
    // What it would take the place of counts as far as it is kept.
    const reaching = await backfill(20, 10);
    await caughtUp(t.sql);
    await restart(SHORT);
    await removed(t.sql);
    expect(await move(closed, 'revert')).toMatchObject({ status: 400, code: 'range_not_kept' });
    expect(await move(partly, 'close')).toMatchObject({ status: 400, code: 'range_not_kept' });
    expect(await count(t.sql, 'staged_event', 'ts', today() - 5 * DAY)).toEqual({ older: 0, younger: 2 });
    expect((await t.call('DELETE', `/v1/backfills/${partly}`, { key })).body).toMatchObject({
      state: 'dropped',
    });
    expect(await move(reaching, 'close')).toMatchObject({ closed: { events: 0, replaced: 0, windows: 0 } });
    expect(await move(young, 'close')).toMatchObject({ closed: { events: 1, replaced: 4 * 28 } });
    expect(await move(young, 'revert')).toMatchObject({ state: 'reverted' });
    model.revert(model.close([brought], { from: today() - 4 * DAY, to: today(), customers: null }, true));
    await caughtUp(t.sql);
    await expectAll(ask, tenant, model, today() - 4 * DAY, today());
  });

  it('is refused by the database to writers and refreshes that do not know', async () => {
    const { tenant } = await fill();
    await restart(SHORT);
    await removed(t.sql);
    const gone = iso(today() - 5 * DAY - 30_000);
    const window = [{ bucket: gone, tenant_id: tenant.id, customer_id: 'alice', references: false }];
    const refused = { code: '22008', message: expect.stringContaining('are no longer kept') };
    const places = [[tenant.id], ['alice'], [Date.parse(gone) / 30_000], [false], [1], [0], [0], [0], ['0']];
    await expect(
      t.sql.query('select revise_windows($1, $2, $3, $4, $5, $6, $7, $8, $9)', places),
    ).rejects.toMatchObject(refused);
    await expect(t.sql.query('select mark_late_windows($1)', [JSON.stringify(window)])).rejects.toMatchObject(
      refused,
    );
    if (t.database.engine === 'postgres') return;
    const client = await t.sql.connect();
    try {
      const before = await client.query('select sum(calls) as calls from usage_30s');
      for (const validity of ['trusted', 'distrusted'] as const) {
        await expect(
          refreshRollup(client as unknown as pg.Client, 'usage_30s', gone, iso(today() - 5 * DAY), validity),
        ).rejects.toMatchObject({ code: 'TM005' });
      }
      const after = await client.query('select sum(calls) as calls from usage_30s');
      expect(after.rows).toEqual(before.rows);
    } finally {
      client.release();
    }
  });

  it('is kept while something of it is still to be summed up', async () => {
    const { tenant } = await fill();
    await t.sql.query(
      `update late_window set stale = true where bucket = (select min(bucket) from late_window)
       returning bucket`,
    );
    await halt(); // nobody refreshes it
    const moved = async () => (await t.sql.query('select advance_retention() as moved')).rows[0].moved;
    await t.sql.query(`update retention set keep = interval '5 days' where relation = 'event'`);
    expect(await moved()).toEqual([]);
    await t.sql.query('update late_window set stale = false');
    expect(await moved()).toEqual(['event']);
    expect(await moved()).toEqual([]);
    expect(tenant.id).toBeTruthy();
  });

  it('is removed only once whoever read it before has ended', async () => {
    await fill();
    await halt();
    const next = await startServiceOn(t.database, SHORT, {
      configure: ({ retention }) => Object.assign(retention, { intervalMs: 20, removeAfterMs: 60_000 }),
    });
    more.push(next);
    await until(async () => (await keptFrom(t.sql)) === today() - 5 * DAY && (await moving(t.sql)) === 4);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await count(t.sql, 'event', 'ts', today() - 5 * DAY)).older).toBe(15 * 28);
    await t.sql.query(`update retention set moved_at = now() - interval '61 seconds'`);
    await removed(t.sql);
    expect((await count(t.sql, 'event', 'ts', today() - 5 * DAY)).older).toBe(0);
  });

  it('is settled by whoever starts last, also where several start at once', async () => {
    t = await startTestService({ EVENT_RETENTION_DAYS: '90' });
    const days = async () =>
      Object.fromEntries(
        (await t.sql.query(`select relation, extract(day from keep)::int as days from retention`)).rows.map(
          (row) => [row.relation, row.days],
        ),
      );
    expect(await days()).toMatchObject({ event: 90, usage_30s: null, event_key: 35 });
    const started = await Promise.all([1, 2, 3].map(() => startServiceOn(t.database, SHORT)));
    more.push(...started);
    expect(await days()).toMatchObject({
      event: 5,
      usage_30s: 9,
      usage_1h: 13,
      usage_1d: 40,
      reference_1d: null,
    });
    more.push(await startServiceOn(t.database, { IDENTITY_HORIZON_DAYS: '0' }));
    expect(await days()).toMatchObject({ event: null, usage_30s: null, event_key: null });

    const { relations, foreign } = await policyReport(t.sql, t.database.engine, started[0]!.config.retention);
    expect(foreign).toEqual([]);
    expect(relations.find(({ relation }) => relation === 'event')).toMatchObject({
      wantedDays: 5,
      days: null,
    });
  });

  it('of ids goes page by page, and the young ones stay', async () => {
    t = await startTestService();
    const tenant = await t.tenant();
    const young = anEvent();
    await post(t, tenant.key, [young]);
    await t.call('POST', '/v1/counters/increment', {
      key: tenant.key,
      body: { key: 'k', value: 1 },
      headers: { 'Idempotency-Key': 'young' },
    });
    for (const [table, columns] of [
      ['event_key', `(key_3, key_5, received_at) select gen_random_uuid(), gen_random_uuid()`],
      [
        'idempotent_increment',
        `(tenant_id, event_id, key, value, received_at) select 'x', gen_random_uuid(), 'k', 1`,
      ],
    ]) {
      await t.sql.query(
        `insert into ${table} ${columns}, now() - interval '36 days' + (n > 40000)::int * interval '2 days'
         from generate_series(1, 50000) as n`,
      );
    }
    await restart({});
    for (const table of ['event_key', 'idempotent_increment']) {
      await until(async () => (await count(t.sql, table, 'received_at', Date.now() - 35 * DAY)).older === 0);
      expect((await count(t.sql, table, 'received_at', Date.now() - 35 * DAY)).younger).toBeGreaterThan(
        10_000,
      );
    }
    const { body: metrics } = await t.call('GET', '/metrics');
    expect(metrics).toMatch(/^tidemark_retention_rows_removed_total\{relation="event_key"\} 40000$/m);
    await until(async () =>
      /^tidemark_retention_last_run_timestamp_seconds 1/m.test((await t.call('GET', '/metrics')).body),
    );
    expect(await post(t, tenant.key, [young])).toEqual({ accepted: 0, duplicates: 1 });
  });

  async function importPath(path: string, tenantId: string) {
    const counts = new ImportCounts();
    const faults: BadLine[] = [];
    const source = await openSource({
      path,
      format: 'csv',
      delimiter: ',',
      mapping: parseMapping('timestamp=time', ''),
      constants: { customerId: 'acme', apiEndpoint: '/old' },
      idPrefix: undefined,
      aheadMs: 0,
      tenantId,
    });
    try {
      const outcome = await importFile({
        config: t.config,
        url: t.database.url,
        source,
        tenantId,
        createTenant: false,
        fromLine: 1,
        maxErrors: 100,
        counts,
        onBadLine: (fault) => faults.push(fault),
        onRefresh: () => undefined,
        log: createLogger({ logLevel: 'silent' }),
        signal: new AbortController().signal,
      });
      expect(outcome.stop).toBeNull();
    } finally {
      await source.input.close();
    }
    return { counts, faults };
  }

  describe('with TimescaleDB', () => {
    const onlyTimescale = (name: string, work: () => Promise<void>) =>
      test(name, async (context) => {
        t = await startTestService();
        context.skip(t.database.engine !== 'timescale', 'the columnstore is TimescaleDB');
        await work();
      });

    onlyTimescale(
      'policies of its own beside the service are refused, with the way to remove them',
      async () => {
        await t.sql.query('alter role tidemark_owner login'); // else it could have no policies at all
        await t.sql.query(`select add_retention_policy('event', interval '1 day')`);
        await t.sql.query(
          `select add_continuous_aggregate_policy('usage_1h', null, interval '1 hour', interval '1 hour')`,
        );
        await t.sql.query('alter role tidemark_owner nologin');
        const refused = await startServiceOn(t.database).then(
          () => null,
          (error: Error) => error,
        );
        expect(refused).toBeInstanceOf(StartupError);
        expect(refused!.message).toContain(
          'policy_retention on event, policy_refresh_continuous_aggregate on usage_1h',
        );
        await t.sql.query(/Remove them: (.*;)$/.exec(refused!.message)![1]!);
        more.push(await startServiceOn(t.database));
      },
    );
  });
});

/** How many levels no longer begin at the beginning. */
async function moving(sql: pg.Pool): Promise<number> {
  const { rows } = await sql.query(
    `select count(*)::int as n from retention
     where kept_from > '-infinity' and relation in ('event', 'usage_30s', 'usage_1h', 'usage_1d')`,
  );
  return rows[0].n;
}

async function removed(sql: pg.Pool): Promise<void> {
  await until(async () => {
    const { rows } = await sql.query(
      `select bool_and(removed_to >= kept_from) as removed
       from retention where relation in ('event', 'usage_30s', 'usage_1h', 'usage_1d')`,
    );
    return (await moving(sql)) === 4 && rows[0].removed;
  }, 50_000);
}

async function keptFrom(sql: pg.Pool): Promise<number> {
  const { rows } = await sql.query(
    `select extract(epoch from kept_from) * 1000 as ms from retention where relation = 'event'`,
  );
  return Number(rows[0].ms);
}

async function count(sql: pg.Pool, table: string, column: string, ms: number) {
  const { rows } = await sql.query(
    `select count(*) filter (where ${column} < $1)::int as older, count(*) filter (where ${column} >= $1)::int as younger
     from ${table.includes(' where ') ? `(select * from ${table}) as part` : table}`,
    [new Date(ms)],
  );
  return rows[0];
}
