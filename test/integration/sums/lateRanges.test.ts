import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { connectionSettings, connectRefresher } from '../../../src/ground/db/connections.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { refreshImported } from '../../../src/intake/importing/refreshImported.ts';
import { Refresher } from '../../../src/sums/windows/refresher.ts';
import { WindowMetrics } from '../../../src/sums/windows/windowMetrics.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const iso = (ms: number) => new Date(ms).toISOString();

// On the postgres engine a trigger keeps the rollups: nothing is late there but activity.
describe.runIf(inject('engine') === 'timescale')('on timescale', () => {
  describeEngine('late windows that do not touch', () => {
    let t: TestService;
    let tenant: { id: string; key: string };
    beforeAll(async () => {
      // Nobody refreshes but the tests.
      t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' });
      tenant = await t.tenant();
    });
    afterAll(() => t.stop());

    function refresher(options: { intervalMs?: number } = {}) {
      const log = createLogger({ logLevel: 'silent' });
      const metrics = new WindowMetrics(new Registry());
      const made = new Refresher({
        ...{ config: { ...t.config.windows, ...options }, engine: 'timescale', metrics, log },
        connect: () =>
          connectRefresher(connectionSettings(t.database.url, t.config.database, 'refresher'), log),
      });
      onTestFinished(() => made.stop());
      const calls = async (rollup: string) => {
        const { values } = await metrics.refresh.get();
        const count = values.find(
          (value) => value.metricName?.endsWith('_count') && value.labels.rollup === rollup,
        );
        return count?.value ?? 0;
      };
      return { refresher: made, calls };
    }
    const stale = async () => {
      const { rows } = await t.sql.query('select count(*)::int as n from late_window where stale');
      return rows[0].n;
    };
    /** Events every so many ms, posted when all of it is long closed. */
    const post = async (from: number, stepMs: number, count: number) => {
      const body = Array.from({ length: count }, (_, i) => anEvent({ timestamp: iso(from + i * stepMs) }));
      const answer = await t.call('POST', '/v1/events', { key: tenant.key, body });
      expect(answer.body.accepted, JSON.stringify(answer.body)).toBe(count);
    };
    const settle = async () => {
      const { refresher: made } = refresher();
      do await made.step();
      while ((await stale()) > 0);
    };
    const dayStart = (daysAgo: number) => Math.floor(Date.now() / DAY) * DAY - daysAgo * DAY;
    /** What the rollups themselves have materialized, without what is added when they are read. */
    const materialized = async (from: number, to: number) => {
      const names = await t.sql.query(
        `select view_name, format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) as relation
         from timescaledb_information.continuous_aggregates where view_name like 'usage%' order by 1`,
      );
      const sums: Record<string, number> = {};
      for (const { view_name, relation } of names.rows) {
        const { rows } = await t.sql.query(
          `select coalesce(sum(calls), 0)::int as calls from ${relation} where tenant_id = $1 and bucket >= $2 and bucket < $3`,
          [tenant.id, new Date(from), new Date(to)],
        );
        sums[view_name] = rows[0].calls;
      }
      return sums;
    };

    it('are refreshed in a few calls, at every level', async () => {
      const from = dayStart(10);
      await post(from, 10 * MINUTE, 400);
      expect(await stale()).toBe(400);
      const { refresher: made, calls } = refresher();
      await made.step();
      expect(await stale()).toBe(0);
      expect(await calls('usage_30s')).toBeLessThan(10);
      expect(await calls('usage_1h')).toBeLessThan(10);
      expect(await calls('usage_1d')).toBeLessThan(10);
      expect(await materialized(from, from + 3 * DAY)).toEqual({
        usage_30s: 400,
        usage_1h: 400,
        usage_1d: 400,
      });
    });

    it('are refreshed one by one where much lies between', async () => {
      const from = dayStart(20);
      // A day of 20,000 windows of customers, which a call across it would make anew.
      await t.sql.query(
        `insert into event (ts, event_id, tenant_id, customer_id, event_type)
         select $1::timestamptz + i * interval '4 seconds', gen_random_uuid(), 'elsewhere', 'c' || i % 500, 'e'
         from generate_series(1, 20000) as i`,
        [new Date(from)],
      );
      await t.sql.query(
        `call refresh_continuous_aggregate('usage_30s', $1::timestamptz, $2::timestamptz, options => '{"buckets_per_batch": 0}')`
          .replace('$1', `'${iso(from)}'`)
          .replace('$2', `'${iso(from + DAY)}'`),
      );
      await post(from + HOUR, 2 * HOUR, 10);
      const { refresher: made, calls } = refresher();
      await made.step();
      expect(await stale()).toBe(0);
      expect(await calls('usage_30s')).toBe(10);
      expect((await materialized(from, from + DAY)).usage_1d).toBe(10);
    });

    it('are refreshed by one, while others keep up with what closes', async () => {
      await settle();
      const from = dayStart(12);
      await post(from, HOUR, 3);
      // An instance that is at it, and has been stopped, holds the lease until that lapses.
      await t.sql.query(
        `update refresh_lease set holder = gen_random_uuid(), until = clock_timestamp() + interval '1 hour'`,
      );
      const { refresher: other, calls } = refresher();
      const target = (await closedUntil(t.sql)) + MINUTE;
      await closeUpTo(t.sql, target);
      await other.step();
      expect(await stale()).toBe(3);
      expect(await calls('usage_30s')).toBe(1); // what has closed
      const { rows } = await t.sql.query(
        `select s.refreshed_30s, a.announced_until from window_state s, window_announcement a`,
      );
      expect(rows[0]).toEqual({ refreshed_30s: new Date(target), announced_until: new Date(target) });

      await t.sql.query(`update refresh_lease set until = clock_timestamp() - interval '1 millisecond'`);
      await other.step();
      expect(await stale()).toBe(0);
      // Who has done it all leaves it to whoever is next.
      const lease = await t.sql.query('select until < clock_timestamp() as free from refresh_lease');
      expect(lease.rows[0].free).toBe(true);
    });

    it('keep neither closed windows nor messages waiting, call by call', async () => {
      await settle();
      await t.sql.query(
        `insert into subscription (tenant_id, message_types, stream) values ($1, '{window.closed}', 'messages')`,
        [tenant.id],
      );
      const base = await closedUntil(t.sql);
      await post(base, MINUTE, 1);
      await post(dayStart(14), HOUR, 3);
      // The refresh of late hours stands still; by then its windows have been refreshed, and a window has closed.
      const { refresher: made } = refresher({ intervalMs: 0 });
      const holder = await t.sql.connect();
      try {
        await holder.query('begin');
        await holder.query(`do $$ begin
          execute (select format('lock table %I.%I in exclusive mode', materialization_hypertable_schema,
                                 materialization_hypertable_name)
                   from timescaledb_information.continuous_aggregates where view_name = 'usage_30s');
        end $$`);
        const step = made.step();
        await until(async () => {
          const { rows } = await t.sql.query(
            `select exists (select from pg_stat_activity where datname = current_database()
               and wait_event_type = 'Lock' and query like '%refresh_continuous_aggregate(''usage_30s%true%') as so`,
          );
          return rows[0].so;
        });
        await closeUpTo(t.sql, base + MINUTE);
        await holder.query('commit');
        await step; // which had begun before anything closed
      } finally {
        holder.release(true);
      }
      expect(await stale()).toBe(0);
      const { rows } = await t.sql.query(
        `select (select refreshed_30s from window_state) as refreshed, count(*)::int as messages from outbox
         where tenant_id = $1 and type = 'window.closed'`,
        [tenant.id],
      );
      expect(rows[0]).toEqual({ refreshed: new Date(base + MINUTE), messages: 1 });
    });

    it('of an import are left to the instance that is at it', async () => {
      await settle();
      const from = dayStart(16);
      await post(from, HOUR, 5);
      await t.sql.query(
        `update refresh_lease set holder = gen_random_uuid(), until = clock_timestamp() + interval '1 hour'`,
      );
      const { refresher: ofImport, calls } = refresher();
      const range = { from: from * 1_000, to: (from + DAY) * 1_000 };
      const signal = new AbortController().signal;
      const done = refreshImported(t.sql, ofImport, tenant.id, range, signal);
      const { refresher: ofInstance } = refresher();
      await t.sql.query(`update refresh_lease set until = '-infinity'`);
      do await ofInstance.step();
      while ((await stale()) > 0);
      expect(await done).toBe(true);
      expect(await calls('usage_30s')).toBeLessThanOrEqual(1);
    });
  });
});
