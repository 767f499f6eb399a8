import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { connect, connectionSettings } from '../../../src/ground/db/connections.ts';
import { readEngine } from '../../../src/ground/db/engine.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { Refresher } from '../../../src/sums/windows/refresher.ts';
import { WindowMetrics } from '../../../src/sums/windows/windowMetrics.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { expectExact } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const iso = (ms: number) => new Date(ms).toISOString();

describeEngine('closing', () => {
  let t: TestService;
  let tenant: { id: string; key: string };
  beforeAll(async () => {
    t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '100' });
  });
  beforeEach(async () => {
    tenant = await t.tenant();
  });
  afterAll(() => t.stop());

  const at = (ms: number, overrides: Partial<ClientEvent> = {}) =>
    anEvent({ timestamp: iso(ms), ...overrides });
  const post = async (...events: ClientEvent[]) => {
    const answer = await t.call('POST', '/v1/events', { key: tenant.key, body: events });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  };
  const windows = async (query = '') =>
    (
      await t.call('GET', `/v1/windows?from=${iso(Date.now() - 2 * HOUR)}&limit=1000${query}`, {
        key: tenant.key,
      })
    ).body.data;
  const subscribe = (...types: string[]) =>
    t.sql.query(`insert into subscription (tenant_id, message_types, stream) values ($1, $2, 'messages')`, [
      tenant.id,
      types,
    ]);
  const messages = async (type: string) =>
    (
      await t.sql.query('select payload from outbox where tenant_id = $1 and type = $2 order by id', [
        tenant.id,
        type,
      ])
    ).rows.map(({ payload }) => payload);
  const announced = (ms: number) =>
    until(async () => {
      const { rows } = await t.sql.query('select announced_until >= $1 as so from window_announcement', [
        new Date(ms),
      ]);
      return rows[0].so;
    });

  it('closes once, whoever is at it, and notes when', async () => {
    const target = (await closedUntil(t.sql)) + 3 * WINDOW;
    const sql = new pg.Pool({ connectionString: t.database.url, max: 8 });
    const closings = await Promise.all(Array.from({ length: 8 }, () => closeUpTo(sql, target)));
    await sql.end();
    expect(closings.filter(({ outcome }) => outcome === 'won')).toHaveLength(1);
    for (const { outcome } of closings) expect(['won', 'lost', null]).toContain(outcome);
    expect(await closedUntil(t.sql)).toBe(target);
    const { rows } = await t.sql.query(
      'select count(*)::int as n from window_closing where closed_until = $1',
      [new Date(target)],
    );
    expect(rows[0].n).toBe(1);
    expect(await closeUpTo(t.sql, target)).toMatchObject({
      outcome: null,
      closedUntilMicros: target * 1_000,
    });
    expect(await closeUpTo(t.sql, target - WINDOW)).toMatchObject({ outcome: null });
  });

  it('waits for the batches under way, and does not stay in their way', async () => {
    const target = (await closedUntil(t.sql)) + WINDOW;
    const batch = await t.sql.connect();
    try {
      await batch.query('begin');
      await batch.query(`select * from enter_batch('infinity', (select interest_version from window_state))`);
      await expect(closeUpTo(t.sql, target, { lockTimeoutMs: 4_000 })).rejects.toMatchObject({
        code: '55P03',
      });
      // Now it has been under way for longer than it is worth waiting: others are not made to wait behind a closer.
      const started = Date.now();
      const held = await closeUpTo(t.sql, target, { lockTimeoutMs: 3_500 });
      expect(held).toMatchObject({ outcome: 'held', lockWaitMs: null });
      await post(at(target));
      expect(Date.now() - started).toBeLessThan(3_000);
      expect(await closedUntil(t.sql)).toBe(target - WINDOW);
    } finally {
      await batch.query('commit');
      batch.release();
    }
    expect(await closeUpTo(t.sql, target)).toMatchObject({ outcome: 'won' });
  });

  it('ends a batch whose process sends nothing more, and none that the server is working on', async () => {
    const target = (await closedUntil(t.sql)) + WINDOW;
    const silent = new pg.Client(t.database.url);
    const working = new pg.Client(t.database.url);
    for (const client of [silent, working]) {
      client.on('error', () => undefined);
      await client.connect();
      await client.query('begin');
      await client.query(
        `select * from enter_batch('infinity', (select interest_version from window_state))`,
      );
    }
    const work = working.query('select pg_sleep(1)');
    const { rows } = await silent.query('select pg_backend_pid() as pid from pg_sleep(0.2)');
    await until(async () => {
      const waits = `select wait_event_type = 'Client' as client from pg_stat_activity where pid = $1`;
      return (await t.sql.query(waits, [rows[0].pid])).rows[0].client;
    });
    await sleep(150);
    expect(await closeUpTo(t.sql, target, { lockTimeoutMs: 50, stalledMs: 100 })).toMatchObject({
      outcome: 'held',
    });
    await expect(silent.query('commit')).rejects.toThrow();
    await work;
    await working.query('commit');
    await working.end();
    expect(await closeUpTo(t.sql, target)).toMatchObject({ outcome: 'won' });
  });

  it('tells those who poll of every window that closed or changed, once each', async () => {
    const base = await closedUntil(t.sql);
    const poll = async (after: string, query = '') => {
      const { status, body } = await t.call('GET', `/v1/windows?closedAfter=${after}${query}`, {
        key: tenant.key,
      });
      expect(status, JSON.stringify(body)).toBe(200);
      return body;
    };
    const { closedThrough: start } = await poll(iso(0));
    await post(at(base), at(base + WINDOW), at(base + 2 * WINDOW));
    expect((await poll(start)).data).toEqual([]);

    await closeUpTo(t.sql, base + 2 * WINDOW);
    const first = await poll(start);
    expect(first.data.map((w: { windowStart: string }) => w.windowStart)).toEqual([
      iso(base),
      iso(base + WINDOW),
    ]);
    expect(first.data[0]).toMatchObject({ state: 'closed', revision: 0, aggregations: { totalCalls: 1 } });
    expect((await poll(first.closedThrough)).data).toEqual([]);

    // A late event changes a window at once, and is told of when the next window closes: then nothing can be under way
    // that would have come before it.
    await post(at(base));
    expect((await poll(first.closedThrough)).data).toEqual([]);
    await closeUpTo(t.sql, base + 3 * WINDOW);
    const second = await poll(first.closedThrough);
    expect(second.data).toMatchObject([
      { windowStart: iso(base), state: 'revised', revision: 1, aggregations: { totalCalls: 2 } },
      { windowStart: iso(base + 2 * WINDOW), state: 'closed', revision: 0 },
    ]);
    expect((await poll(first.closedThrough, '&state=revised')).data).toEqual([second.data[0]]);
    expect((await poll(first.closedThrough, `&from=${iso(base + WINDOW)}`)).data).toEqual([second.data[1]]);
    expect((await poll(first.closedThrough, '&customerId=nobody')).data).toEqual([]);
    // Page by page, and from the beginning of time.
    const pages = [];
    let cursor = '';
    do {
      const page = await poll(iso(0), `&limit=1${cursor}`);
      pages.push(...page.data);
      expect(page.closedThrough).toBe(second.closedThrough);
      cursor = page.nextCursor === null ? '' : `&cursor=${page.nextCursor}`;
    } while (cursor);
    expect(pages).toEqual((await poll(iso(0))).data);
    expect(pages).toHaveLength(3);
  });

  it('lists windows by state', async () => {
    const base = await closedUntil(t.sql);
    await post(at(base), at(base, { customerId: 'b' }), at(base + 5 * WINDOW));
    await closeUpTo(t.sql, base + WINDOW);
    await post(at(base, { customerId: 'b' }));
    const customers = async (state: string) =>
      (await windows(`&to=${iso(base + HOUR)}&state=${state}`)).map(
        (w: { customerId: string; state: string }) => [w.customerId, w.state],
      );
    expect(await customers('open')).toEqual([['customer-1', 'open']]);
    expect(await customers('closed')).toEqual([
      ['b', 'revised'],
      ['customer-1', 'closed'],
    ]);
    expect(await customers('revised')).toEqual([['b', 'revised']]);
    const wrong = await t.call('GET', `/v1/windows?state=open&closedAfter=${iso(base)}`, { key: tenant.key });
    expect(wrong).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    const garbled = await t.call('GET', '/v1/windows?closedAfter=yesterday', { key: tenant.key });
    expect(garbled).toMatchObject({ status: 400, body: { code: 'range_invalid' } });
  });

  it('writes window.closed once, with the sums that GET /v1/windows has', async () => {
    await subscribe('window.closed');
    const base = await closedUntil(t.sql);
    const events = Array.from({ length: 40 }, () => randomEvent(Math.random, base, base + 3 * WINDOW));
    await post(...events);
    await closeUpTo(t.sql, base + 3 * WINDOW);
    await announced(base + 3 * WINDOW);
    const served = await windows(`&to=${iso(base + 3 * WINDOW)}`);
    expect(served.length).toBeGreaterThan(3);
    expect(await messages('window.closed')).toEqual(served);
    expect(await messages('window.revised')).toEqual([]);
  });

  it('writes window.revised with each batch that changes a window, with the sums of its revision', async () => {
    await subscribe('window.revised');
    const base = await closedUntil(t.sql);
    await post(at(base));
    await closeUpTo(t.sql, base + WINDOW);
    const batches = Array.from({ length: 6 }, (_, i) => Array.from({ length: i + 1 }, () => at(base + i)));
    await Promise.all(batches.map((batch) => post(...batch)));
    const found = await messages('window.revised');
    const served = await windows(`&to=${iso(base + WINDOW)}`);
    expect(found.map(({ revision }) => revision)).toEqual(found.map((_, i) => i + 1));
    expect(found.at(-1)).toEqual(served[0]);
    expect(served[0].aggregations.totalCalls).toBe(22);
    expect(await messages('window.closed')).toEqual([]);
  });

  it('writes no message for a batch that was rolled back, nor for who has not asked', async () => {
    const base = await closedUntil(t.sql);
    await post(at(base - HOUR));
    expect(await messages('window.revised')).toEqual([]);
    await subscribe('window.revised');
    await t.sql.query(
      `alter table event add constraint no_poison check (endpoint is distinct from '/poison')`,
    );
    try {
      const body = [at(base - HOUR), at(base - HOUR, { apiEndpoint: '/poison' })];
      const answer = await t.call('POST', '/v1/events', { key: tenant.key, body });
      expect(answer.status).toBe(422);
    } finally {
      await t.sql.query('alter table event drop constraint no_poison');
    }
    expect(await messages('window.revised')).toEqual([]);
    expect((await windows(`&to=${iso(base)}`))[0]).toMatchObject({ revision: 1 });
  });

  it('counts what it does', async () => {
    const { body } = await t.call('GET', '/metrics', { key: null });
    for (const name of [
      'tidemark_closing_won_total',
      'tidemark_closing_lost_total',
      'tidemark_closing_held_total',
      'tidemark_closing_lock_wait_seconds_bucket',
      'tidemark_closing_lag_seconds_bucket',
      'tidemark_window_conflicts_total',
      'tidemark_late_windows_refreshed_total',
      'tidemark_late_windows_pending',
      'tidemark_events_late_total',
    ]) {
      expect(body).toContain(name);
    }
    const late = /^tidemark_events_late_total (\d+)/m.exec(body)![1];
    expect(Number(late)).toBeGreaterThan(0);
    if (t.database.engine === 'timescale')
      expect(body).toContain('tidemark_refresh_seconds_count{rollup="usage_30s"}');
  });
});

// On the postgres engine a trigger keeps the rollups: nothing is left to catch up with.
if (inject('engine') === 'timescale')
  describeEngine('closing after hours of downtime', () => {
    let t: TestService;
    beforeAll(async () => {
      // Nobody refreshes but the test.
      t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' });
    });
    afterAll(() => t.stop());

    const refresher = async (metrics: WindowMetrics, stepMinutes = 30) => {
      const log = createLogger({ logLevel: 'silent' });
      return new Refresher({
        config: { ...t.config.windows, stepMinutes },
        engine: await readEngine(t.sql),
        connect: () => connect(connectionSettings(t.database.url, t.config.database, 'refresher'), log),
        metrics,
        log,
      });
    };
    const progress = async () => {
      const { rows } = await t.sql.query(
        'select refreshed_30s, refreshed_1h, closed_until from window_state',
      );
      return rows[0];
    };

    it('makes late buckets anew, though TimescaleDB takes them for valid', async (context) => {
      const { rows: settings } = await t.sql.query(
        `select current_setting('max_prepared_transactions')::int as most`,
      );
      if (settings[0].most === 0) return context.skip('this server has max_prepared_transactions = 0');
      const tenant = await t.tenant();
      const base = await closedUntil(t.sql);
      const post = (ms: number) =>
        t.call('POST', '/v1/events', { key: tenant.key, body: anEvent({ timestamp: iso(ms) }) });
      expect((await post(base)).status).toBe(200);
      await closeUpTo(t.sql, base + WINDOW);

      // A late batch that has looked at the invalidation threshold and has not committed, while a refresh moves it.
      const batch = new pg.Client(t.database.url);
      await batch.connect();
      await batch.query(`
      begin;
      select enter_batch('infinity', (select interest_version from window_state));
      insert into event (ts, event_id, tenant_id, customer_id, event_type)
        values ('${iso(base + 1)}', gen_random_uuid(), '${tenant.id}', 'customer-1', 'api.request');
      select mark_late_windows('[{"bucket":"${iso(base)}","tenant_id":"${tenant.id}","customer_id":"customer-1","references":false}]');
      prepare transaction 'late ${tenant.id}'`);
      const refreshing = await refresher(new WindowMetrics(new Registry()));
      await refreshing.step();
      await batch.query(`commit prepared 'late ${tenant.id}'`);
      await batch.end();

      const calls = async () => {
        const range = `from=${iso(base)}&to=${iso(base + WINDOW)}`;
        const { body } = await t.call('GET', `/v1/windows?${range}`, { key: tenant.key });
        return body.data[0].aggregations.totalCalls;
      };
      expect(await calls()).toBe(2);
      await until(async () => {
        await refreshing.step();
        const { rows } = await t.sql.query('select exists (select from late_window where stale) as stale');
        return !rows[0].stale;
      });
      await refreshing.stop();
      expect(await calls()).toBe(2);
    });

    it('refreshes in bounded steps, exact all the way, and leaves it to the other where two meet', async () => {
      const tenant = await t.tenant();
      const base = await closedUntil(t.sql);
      const end = base + 7 * HOUR;
      const model = new BruteForce();
      const post = async (events: ClientEvent[]) => {
        expect((await t.call('POST', '/v1/events', { key: tenant.key, body: events })).status).toBe(200);
        model.add(events);
      };
      await post(Array.from({ length: 500 }, () => randomEvent(Math.random, base, end)));
      expect(await closeUpTo(t.sql, end)).toMatchObject({ outcome: 'won' });

      const metrics = [new WindowMetrics(new Registry()), new WindowMetrics(new Registry())];
      const refreshers = await Promise.all(metrics.map((of) => refresher(of)));
      let conflicts = 0;
      let rounds = 0;
      for (let before = await progress(); before.refreshed_30s < before.closed_until; rounds++) {
        const ended = await Promise.allSettled(refreshers.map((each) => each.step()));
        for (const one of ended) {
          if (one.status === 'fulfilled') continue;
          expect(one.reason.code, one.reason).toBe('55P03');
          conflicts++;
        }
        const after = await progress();
        // Each of the two does one step of half an hour at most.
        expect(after.refreshed_30s - before.refreshed_30s).toBeLessThanOrEqual(HOUR);
        before = after;
        await post([randomEvent(Math.random, base, end)]);
        await expectExact(
          (path, key) => t.call('GET', path, { key }),
          tenant,
          model,
          base - HOUR,
          end + HOUR,
        );
        expect(rounds).toBeLessThan(40);
      }
      expect(rounds).toBeGreaterThanOrEqual(7);
      const counted = await Promise.all(metrics.map((of) => of.conflicts.get()));
      expect(counted.flatMap(({ values }) => values).reduce((sum, { value }) => sum + value, 0)).toBe(
        conflicts,
      );
      // Whole hours follow, and what came late meanwhile.
      await until(async () => {
        await refreshers[0]!.step();
        const { rows } = await t.sql.query('select exists (select from late_window where stale) as stale');
        const { refreshed_1h } = await progress();
        return !rows[0].stale && refreshed_1h.getTime() === Math.floor(end / HOUR) * HOUR;
      });
      for (const each of refreshers) await each.stop();
      for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d']) {
        const { rows } = await t.sql.query(
          `select sum(calls)::int as calls from ${rollup} where tenant_id = $1`,
          [tenant.id],
        );
        expect(rows[0].calls, rollup).toBe(model.events.size);
      }
    });
  });
